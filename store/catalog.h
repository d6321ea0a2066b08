// Catalog: the SQLite database of a store: images, references, layers, containers, manifests and
// blobs.
//
// It is the one truth about what exists: a layer, image or container exists when its row is
// committed. Rows only; files are the business of the other parts. One connection per process; not
// thread-safe: callers serialise. Several processes use one catalogue at once (WAL, busy timeout of
// a minute). Schema and migrations: docs/store-layout.md.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "store/base/digest.h"
#include "store/base/result.h"
#include "store/sqlite.h"

namespace veneer {

extern const int kCatalogSchemaVersion;  // of this program

struct LayerRow {
  DiffId diff_id;
  int64_t tar_size = 0;      // bytes of the uncompressed tar
  int64_t content_size = 0;  // bytes of all regular files in its tree
  int64_t entries = 0;       // names in its tree
};

// How a layer (or a whole blob) was seen outside: kept for later pushes.
struct BlobRow {
  Digest digest;
  int64_t size = 0;
  DiffId diff_id;
  std::string compression;  // CompressionName()
  std::string media_type;   // as a manifest gave it; may be empty
};

struct ManifestRow {
  Digest digest;
  ImageId image;
  std::string media_type;
  std::string raw;
};

struct ImageRow {
  ImageId id;
  std::string config;     // the raw JSON, byte for byte
  int64_t loaded_at = 0;  // seconds since the epoch
};

struct ContainerRow {
  std::string id;  // 64 hex digits
  std::string name;
  ImageId image;
  std::string image_name;  // what the user called the image
  int64_t created_at = 0;
  std::string config;      // JSON of the config it would run with
  std::string mount_path;  // where it was last mounted; empty when unmounted by us
};

struct ReferenceRow {
  std::string name;  // canonical: docker.io/library/debian:latest
  ImageId image;
};

// What a step of a build led to (docs/store-layout.md "Build cache").
struct BuildRecord {
  Digest key;                  // of all that the step depended on
  std::vector<DiffId> layers;  // of the whole chain it led to, lowest first
  std::string description;     // "RUN make"
  int64_t created_at = 0;      // seconds since the epoch
  int64_t last_used_at = 0;
  int64_t uses = 0;
};

class Catalog {
 public:
  // Opens or creates `path` and migrates it forward. EPROTO: made by a newer version.
  static Result<std::unique_ptr<Catalog>> Open(const std::string& path);

  // Runs `body` in one IMMEDIATE transaction: all of it becomes durable, or nothing.
  Result<> InTransaction(const std::function<Result<>()>& body);

  // Layers. Put is idempotent.
  Result<> PutLayer(const LayerRow& row);
  Result<std::optional<LayerRow>> FindLayer(const DiffId& id);
  Result<std::vector<LayerRow>> Layers();
  Result<> DeleteLayer(const DiffId& id);
  Result<> PutBlob(const BlobRow& row);
  Result<std::optional<BlobRow>> FindBlob(const Digest& digest);

  // Images. PutImage is idempotent; `layers` lowest first.
  Result<> PutImage(const ImageRow& row, const std::vector<DiffId>& layers);
  Result<std::optional<ImageRow>> FindImage(const ImageId& id);
  Result<std::vector<ImageRow>> Images();                                    // newest first
  Result<std::vector<ImageId>> ImagesByPrefix(std::string_view hex_prefix);  // at most a few
  Result<std::vector<DiffId>> ImageLayers(const ImageId& id);
  Result<> DeleteImage(const ImageId& id);  // references and manifests go with it
  Result<> PutManifest(const ManifestRow& row);
  Result<std::vector<ManifestRow>> Manifests(const ImageId& id);

  // References (tags). Set moves a name that exists.
  Result<> SetReference(const std::string& name, const ImageId& image);
  Result<std::optional<ImageId>> FindReference(const std::string& name);
  Result<bool> DeleteReference(const std::string& name);  // false: there was none
  Result<std::vector<ReferenceRow>> References();
  Result<std::vector<std::string>> ReferencesTo(const ImageId& image);

  // Containers. Add: EEXIST when the name is taken.
  Result<> AddContainer(const ContainerRow& row);
  Result<std::optional<ContainerRow>> FindContainerByName(const std::string& name);
  Result<std::vector<ContainerRow>> ContainersByPrefix(std::string_view id_prefix);
  Result<std::vector<ContainerRow>> Containers();  // newest first
  Result<> SetContainerMount(const std::string& id, const std::string& path);
  Result<> DeleteContainer(const std::string& id);

  // Build records. Put replaces what stands under the key; its layers must exist. REQUIRES: a
  // WorkLease is held, or a sweep may remove the layers meanwhile.
  Result<> PutBuildRecord(const BuildRecord& row);
  Result<std::optional<BuildRecord>> FindBuildRecord(const Digest& key);
  Result<std::vector<BuildRecord>> BuildRecords();  // the most recently used first
  Result<> DeleteBuildRecord(const Digest& key);
  // One use more of each, at `now`; records that are gone are left out. Does not wait for the disk:
  // what a crash may lose is a count.
  Result<> UseBuildRecords(std::span<const Digest> keys, int64_t now);
  Result<> UseBuildRecord(const Digest& key, int64_t now) {
    return UseBuildRecords({&key, 1}, now);
  }

  // SQLite's own check; EBADMSG with its first complaint.
  Result<> IntegrityCheck();

 private:
  explicit Catalog(std::unique_ptr<Database> db) : db_(std::move(db)) {}
  Result<> Migrate();

  std::unique_ptr<Database> db_;
};

}  // namespace veneer
