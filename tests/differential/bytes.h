// The bytes that operations write, and a fast hash of those they read.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace veneer::differential {

// Writes the bytes that `value` has at [offset, offset + size); value 0: zeros.
void FillBytes(char* out, size_t size, uint32_t value, uint64_t offset);

// Not for strangers: 64 bits, to tell two contents apart.
uint64_t HashOf(std::string_view data);

// What setxattr of `name` sets for `value`: a valid ACL or capability where the name asks for one.
std::string XattrValue(std::string_view name, uint32_t value);

}  // namespace veneer::differential
