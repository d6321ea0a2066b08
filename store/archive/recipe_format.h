// Constants of the recipe format; docs/recipe-format.md is the specification.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace veneer::recipe_format {

inline constexpr std::string_view kMagic = "VNRRECIP";
inline constexpr uint32_t kVersion = 1;
inline constexpr size_t kHeaderSize = 80;
inline constexpr size_t kHeaderCrcOffset = 76;
inline constexpr size_t kReservedSize = 12;
inline constexpr size_t kReferenceSize = 40;
inline constexpr uint64_t kMaxLiteral = uint64_t{1} << 20;
inline constexpr size_t kJoinedLiteral = size_t{64} << 10;
inline constexpr uint64_t kPayloadBit = 1;  // of an operation's first number

struct Header {
  uint64_t tar_size = 0;
  uint64_t operations_offset = kHeaderSize;
  uint64_t operations_size = 0;
  uint64_t references_offset = 0;
  uint64_t references_count = 0;
  uint32_t operations_crc = 0;
  uint32_t references_crc = 0;
};

}  // namespace veneer::recipe_format
