#include "store/archive/compression.h"

namespace veneer {

std::string_view CompressionName(Compression c) {
  switch (c) {
    case Compression::kNone:
      return "none";
    case Compression::kGzip:
      return "gzip";
    case Compression::kZstd:
      return "zstd";
    case Compression::kXz:
      return "xz";
    case Compression::kBzip2:
      return "bzip2";
  }
  return "none";
}

Compression DetectCompression(std::string_view head) {
  using namespace std::string_view_literals;
  if (head.starts_with("\x1f\x8b\x08"sv)) return Compression::kGzip;
  if (head.starts_with("\x28\xb5\x2f\xfd"sv)) return Compression::kZstd;
  // A skippable frame (RFC 8878, 3.1.2), which parallel writers begin with.
  if (head.size() >= 4 && (head[0] & 0xf0) == 0x50 && head.substr(1, 3) == "\x2a\x4d\x18"sv) {
    return Compression::kZstd;
  }
  if (head.starts_with("\xfd"
                       "7zXZ\0"sv))
    return Compression::kXz;
  if (head.size() >= 8 && head.starts_with("BZh"sv) && head[3] >= '1' && head[3] <= '9' &&
      // Of the first block, or of the end of an empty stream.
      (head.substr(4, 4) == "1AY&"sv || head.substr(4, 4) == "\x17\x72\x45\x38"sv)) {
    return Compression::kBzip2;
  }
  return Compression::kNone;
}

}  // namespace veneer
