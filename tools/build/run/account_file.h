// /etc/passwd and /etc/group of an image: USER and --chown name who is in them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace veneer::build {

struct Account {
  std::string name;
  uint32_t uid = 0;
  uint32_t gid = 0;
  std::string home;
};

// The first account with this name; of a number, the first with this uid.
std::optional<Account> FindAccount(std::string_view passwd, std::string_view name_or_uid);
// The gid of the first group with this name.
std::optional<uint32_t> FindGroup(std::string_view group, std::string_view name);
// The gids of the groups that list `user` as a member, in order.
std::vector<uint32_t> GroupsOf(std::string_view group, std::string_view user);
// A uid or gid written as a decimal number below 2^32 - 1.
std::optional<uint32_t> ParseId(std::string_view text);

}  // namespace veneer::build
