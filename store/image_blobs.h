// ImageBlobs: what an archive or a layout directory holds, by path: small JSON as bytes, layers as
// staged layers.
//
// Private to loading. Reading a blob verifies it against the digest its name promises
// ("blobs/sha256/<hex>").
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "store/archive/byte_stream.h"
#include "store/archive/compression.h"
#include "store/base/result.h"
#include "store/base/unique_fd.h"
#include "store/ingest.h"

namespace veneer {

// A layer as an archive held it. `staged` is absent when the store had it already.
struct LayerBlob {
  Digest digest;  // of the blob, compressed as it stood
  uint64_t size = 0;
  Compression compression = Compression::kNone;
  DiffId diff_id;
  std::optional<StagedLayer> staged;
};

class ImageBlobs {
 public:
  virtual ~ImageBlobs() = default;

  // The bytes of a small blob; nullptr when there is none at `path`. EBADMSG: it is there and is no
  // small blob.
  virtual Result<const std::string*> Bytes(const std::string& path) = 0;
  // The layer at `path`; nullptr when there is none. EBADMSG: it is there and is no layer.
  virtual Result<const LayerBlob*> Layer(const std::string& path) = 0;

  // Reads the whole archive on `fd`. `on_bytes` may be empty.
  static Result<std::unique_ptr<ImageBlobs>> FromArchive(
      IngestSession& session, int fd, const std::function<void(uint64_t)>& on_bytes);
  // Reads from a layout directory when asked.
  static Result<std::unique_ptr<ImageBlobs>> FromDirectory(
      IngestSession& session, const std::string& directory,
      const std::function<void(uint64_t)>& on_bytes);
};

}  // namespace veneer
