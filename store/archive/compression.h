// Compression by content (libarchive filters): gzip, zstd, xz, bzip2, or none.
#pragma once

#include <memory>
#include <string_view>

#include "store/archive/byte_stream.h"
#include "store/base/result.h"

namespace veneer {

enum class Compression { kNone, kGzip, kZstd, kXz, kBzip2 };

std::string_view CompressionName(Compression c);  // "none", "gzip", "zstd", "xz", "bzip2"
// By magic; `head` is the first bytes, 8 suffice.
Compression DetectCompression(std::string_view head);

// The decompressed bytes of a source. Everything of `from` is consumed by the time Next() returns
// empty; several members one after another are one stream; a truncated or damaged stream is
// EBADMSG, never a short success (a zstd stream without checksums can hide damage; gzip, xz and
// bzip2 streams cannot). Zeros may follow a gzip or bzip2 stream, other garbage is EBADMSG. What is
// compressed inside of the compressed stream stays so.
class Decompressor : public ByteSource {
 public:
  // Reads the head of `from` (borrowed; must outlive this) to detect the compression.
  static Result<std::unique_ptr<Decompressor>> Create(ByteSource& from);
  virtual Compression compression() const = 0;
};

// Compresses into `to` (borrowed; must outlive this). Deterministic. Finish() must be called for
// the stream to be whole. Errors of `to` come out as they are.
class Compressor : public ByteSink {
 public:
  // `level` as the format's own program counts; 0: the library's default.
  static Result<std::unique_ptr<Compressor>> Create(Compression how, int level, ByteSink& to);
  virtual Result<> Finish() = 0;
};

}  // namespace veneer
