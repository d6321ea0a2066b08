// POSIX access control lists: from the text that tar keeps (SCHILY.acl.*) to the value of
// system.posix_acl_* xattrs (linux/posix_acl_xattr.h, version 2). Pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "store/base/result.h"

namespace veneer {

struct PosixAcl {
  // In the order of the kernel's tag values, which is also the order an xattr has them in.
  enum Tag : uint16_t {
    kUserObj = 0x01,
    kUser = 0x02,
    kGroupObj = 0x04,
    kGroup = 0x08,
    kMask = 0x10,
    kOther = 0x20,
  };
  struct Entry {
    Tag tag = kOther;
    uint16_t permissions = 0;  // rwx as 4, 2, 1
    uint32_t id = UINT32_MAX;  // of kUser and kGroup
    auto operator<=>(const Entry&) const = default;
  };
  std::vector<Entry> entries;  // sorted, valid as the kernel asks

  bool IsMinimal() const { return entries.size() == 3; }  // says no more than permission bits do
  uint32_t PermissionBits() const;  // what chmod(2) would show with this access ACL
  std::string ToXattr() const;
};

// "user::rwx,user:1000:r-x,group::r-x,mask::rwx,other::---": entries between commas or newlines,
// each with an id behind the permissions where the second field is a name ("user:lisa:rwx:1000").
// EBADMSG: not an ACL, or one with a name that has no number; names mean nothing outside the system
// that wrote them.
Result<PosixAcl> ParsePosixAcl(std::string_view text);

}  // namespace veneer
