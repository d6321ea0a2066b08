// USER: the numbers that a step's command runs with, from the accounts of its root filesystem.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "store/base/result.h"

namespace veneer::build {

struct ProcessUser {
  uint32_t uid = 0;
  uint32_t gid = 0;
  std::vector<uint32_t> groups;  // supplementary ones; the gid is the first of them
  std::string home = "/";        // of the first account with this uid
};

// `user` is "name", "uid", either with ":group" or ":gid", or empty: root, who needs no account. As
// in BuildKit, an account gives the gid and the groups it is a member of, an explicit group nothing
// but itself; a uid needs no account, and is in group 0 then. Errors (ENOENT, EINVAL) are
// sentences: "unable to find user x: no matching entries in passwd file", …
Result<ProcessUser> ResolveUser(int root_fd, std::string_view user);

}  // namespace veneer::build
