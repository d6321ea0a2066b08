// One raw 512-byte tar header block, decoded as far as the framing of the stream needs it.
//
// Formats: POSIX ustar (IEEE 1003.1, pax "ustar Interchange Format"), GNU tar (magic "ustar  \0",
// base-256 numbers, old sparse maps) and the older tar without a magic. Pure functions over
// borrowed bytes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "store/base/result.h"

namespace veneer {

inline constexpr size_t kTarBlock = 512;

struct TarField {
  size_t offset;
  size_t length;
};
// Of a ustar header; what GNU tar keeps in the place of kPrefix stands in tar_header.cc.
namespace tar_fields {
inline constexpr TarField kName{0, 100}, kMode{100, 8}, kUid{108, 8}, kGid{116, 8}, kSize{124, 12},
    kMtime{136, 12}, kChecksum{148, 8}, kLinkName{157, 100}, kDevMajor{329, 8}, kDevMinor{337, 8},
    kPrefix{345, 155};
inline constexpr size_t kType = 156, kMagic = 257;
}  // namespace tar_fields

enum class TarDialect { kV7, kUstar, kGnu };

struct TarHeader {
  TarDialect dialect = TarDialect::kV7;
  char type = '0';           // the type flag; NUL is given as '0'
  bool old_regular = false;  // the type flag was NUL
  uint32_t permissions = 0;  // the mode field's low 12 bits
  uint64_t size = 0;
  std::string path;  // prefix and name joined as the dialect has it
  std::string link_path;

  // GNU, old sparse format (type 'S').
  bool has_sparse_fields = false;  // something stands where that format keeps its map
  uint32_t sparse_extents = 0;     // in this block
  bool sparse_continues = false;   // extension blocks follow
};

// REQUIRES for all: a whole block.
bool IsZeroBlock(std::string_view block);
// EBADMSG: wrong checksum, or a size that is not a number of at most 2^62.
Result<TarHeader> ParseTarHeader(std::string_view block);

// An extension block of an old GNU sparse map.
struct SparseExtension {
  uint32_t extents = 0;
  bool continues = false;
};
SparseExtension ParseSparseExtension(std::string_view block);

// The number in a header field: octal between blanks, or base-256 (high bit of the first byte);
// nothing when the field holds neither or does not fit. An empty field is 0.
std::optional<int64_t> ParseTarNumber(std::string_view field);

}  // namespace veneer
