// New images from a layer of our own: commit (a container's upper) and import (a tar).
#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>

#include "store/archive/byte_stream.h"
#include "store/base/result.h"
#include "store/catalog.h"
#include "store/store.h"

namespace veneer {

struct CommitOptions {
  std::string author;
  std::string message;
  nlohmann::ordered_json config;           // the new image's `config` object, changes applied
  std::string reference;                   // canonical; empty: none
  std::string created;                     // RFC 3339
  std::function<void(uint64_t)> on_bytes;  // content bytes read; may be empty
  // Called when all of the upper has been read, before anything is published; its error stops the
  // commit. May be empty.
  std::function<Result<>()> fixed;
};

// Makes an image of `container`: its image's layers and one more with what its upper changed, which
// is empty when nothing did. Reads the upper only; whoever mounts it has synced and frozen it. Same
// upper, same DiffID.
Result<ImageId> CommitContainer(Store& store, const ContainerRow& container,
                                const CommitOptions& options);

// Makes an image of one layer from a tar (`tar` decompressed).
Result<ImageId> ImportTar(Store& store, ByteSource& tar, const CommitOptions& options);

}  // namespace veneer
