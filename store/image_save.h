// Saving images: the archive `docker save` (25 and later) writes, an OCI archive, or an OCI layout
// directory.
//
// Layers go out as uncompressed tars rebuilt bit for bit, so every DiffID and the image ID stay
// what they were. Output is deterministic. A shared WorkLease is held meanwhile.
//
// Names: docker's archive has the tag as org.opencontainers.image.ref.name, as docker has. An OCI
// archive or layout has the tag while it holds one name (skopeo's and umoci's `x:latest`), and
// whole canonical names (`x:docker.io/library/debian:latest`) once it holds several.
// io.containerd.image.name is the canonical name always.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "store/archive/byte_stream.h"
#include "store/base/result.h"
#include "store/store.h"

namespace veneer {

struct SaveItem {
  ImageId image;
  std::vector<std::string> references = {};  // canonical names to record; may be empty
  // Of an image that is not in the catalogue: its config. Its layers are there, and stay: the
  // caller holds a shared WorkLease.
  std::string config = {};
};

enum class SaveFormat {
  kDocker,  // oci-layout, index.json, blobs/, and manifest.json, repositories for older readers
  kOci,     // oci-layout, index.json, blobs/
};

// Writes one tar to `out`. A layer or image many items share is written once. EBADMSG: a layer is
// damaged in the store (what was written so far is no archive then: callers write to a temporary
// name).
Result<> SaveArchive(Store& store, std::span<const SaveItem> items, SaveFormat format,
                     ByteSink& out);

// Writes an OCI layout into `directory` (made when missing; an existing layout is added to, a
// non-empty directory that is none is ENOTEMPTY).
Result<> SaveLayout(Store& store, std::span<const SaveItem> items, const std::string& directory);

// The manifest that both write for `item`.
Result<std::string> ManifestOf(Store& store, const SaveItem& item);
inline constexpr const char* kSavedManifestType = "application/vnd.oci.image.manifest.v1+json";

}  // namespace veneer
