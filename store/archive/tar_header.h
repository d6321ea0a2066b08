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
