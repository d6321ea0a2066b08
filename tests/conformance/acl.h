// Acl: POSIX access control lists in the form of the system.posix_acl_* attributes.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <initializer_list>
#include <string>

namespace veneer::fs::conformance {

struct Acl {
  enum Tag : uint16_t {
    kOwner = 1,
    kUser = 2,
    kGroup = 4,
    kNamedGroup = 8,
    kMask = 16,
    kOther = 32
  };
  Tag tag;
  uint16_t permissions;
  uint32_t id = UINT32_MAX;  // of kUser and kNamedGroup
};

// The attribute's value: version 2, then the entries, all little-endian (linux/posix_acl_xattr.h).
inline std::string AclText(std::initializer_list<Acl> entries) {
  std::string text;
  auto put = [&](uint32_t value, int bytes) {
    for (; bytes > 0; --bytes, value >>= 8) text += static_cast<char>(value & 0xff);
  };
  put(2, 4);
  for (const Acl& entry : entries) {
    put(entry.tag, 2);
    put(entry.permissions, 2);
    put(entry.id, 4);
  }
  return text;
}

}  // namespace veneer::fs::conformance
