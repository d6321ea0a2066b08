// Compression by content (libarchive filters): gzip, zstd, xz, bzip2, or none.
#pragma once

#include <memory>
#include <string_view>

#include "store/archive/byte_stream.h"
#include "store/base/result.h"

namespace veneer {

enum class Compression { kNone, kGzip, kZstd, kXz, kBzip2 };

std::string_view CompressionName(Compression c);  // "none", "gzip", "zstd", "xz", "bzip2"
Compression DetectCompression(
    std::string_view head);  // by magic; `head`: the first bytes, 8 suffice

// The decompressed bytes of a source. Everything of `from` is consumed by the time Next() returns
// empty; several members one after another are one stream; a truncated or damaged stream is
// EBADMSG, never a short success.
class Decompressor : public ByteSource {
 public:
  // Reads the head of `from` (borrowed; must outlive this) to detect the compression.
  static Result<std::unique_ptr<Decompressor>> Create(ByteSource& from);
  virtual Compression compression() const = 0;
};

// Compresses into `to` (borrowed). Deterministic. Finish() must be called for the stream to be
// whole.
class Compressor : public ByteSink {
 public:
  static Result<std::unique_ptr<Compressor>> Create(Compression how, int level, ByteSink& to);
  virtual Result<> Finish() = 0;
};

}  // namespace veneer
