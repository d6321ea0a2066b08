#include "tools/build/run/account_file.h"

#include <array>
#include <charconv>

namespace veneer::build {
namespace {

// The colon-separated fields of a line, N of them at least; empty where the line has fewer.
template <size_t N>
std::array<std::string_view, N> Fields(std::string_view line) {
  std::array<std::string_view, N> out;
  for (size_t i = 0; i < N; ++i) {
    const size_t end = line.find(':');
    out[i] = line.substr(0, end);
    if (end == line.npos) break;
    line.remove_prefix(end + 1);
  }
  return out;
}

// Calls `visit(line)` for each line that is no comment, until it returns true.
template <typename Visit>
void EachLine(std::string_view text, Visit visit) {
  while (!text.empty()) {
    const size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end == text.npos ? text.size() : end + 1);
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ' || line.back() == '\t'))
      line.remove_suffix(1);
    while (!line.empty() && (line.front() == ' ' || line.front() == '\t')) line.remove_prefix(1);
    if (line.empty() || line.front() == '#') continue;
    if (visit(line)) return;
  }
}

std::optional<Account> ParseAccount(std::string_view line) {
  const auto [name, password, uid, gid, comment, home] = Fields<6>(line);
  const std::optional<uint32_t> uid_number = ParseId(uid), gid_number = ParseId(gid);
  // A line without numbers stands for nobody; to take them for 0 would make a slip root.
  if (!uid_number || !gid_number) return std::nullopt;
  return Account{std::string(name), *uid_number, *gid_number, std::string(home)};
}

}  // namespace

std::optional<uint32_t> ParseId(std::string_view text) {
  uint32_t id = 0;
  const char* const begin = text.data();
  const char* const end = begin + text.size();
  const auto [rest, error] = std::from_chars(begin, end, id);
  // 2^32 - 1 means "nobody in particular" to chown(2) and setresuid(2).
  if (error != std::errc() || rest != end || id == UINT32_MAX) return std::nullopt;
  return id;
}

std::optional<Account> FindAccount(std::string_view passwd, std::string_view name_or_uid) {
  const std::optional<uint32_t> uid = ParseId(name_or_uid);
  std::optional<Account> found;
  EachLine(passwd, [&](std::string_view line) {
    std::optional<Account> account = ParseAccount(line);
    if (!account) return false;
    if (uid ? account->uid != *uid : account->name != name_or_uid) return false;
    found = std::move(account);
    return true;
  });
  return found;
}

std::optional<uint32_t> FindGroup(std::string_view group, std::string_view name) {
  std::optional<uint32_t> found;
  EachLine(group, [&](std::string_view line) {
    const auto [group_name, password, gid] = Fields<3>(line);
    const std::optional<uint32_t> number = ParseId(gid);
    if (!number || group_name != name) return false;
    found = number;
    return true;
  });
  return found;
}

std::vector<uint32_t> GroupsOf(std::string_view group, std::string_view user) {
  std::vector<uint32_t> out;
  EachLine(group, [&](std::string_view line) {
    const auto [name, password, gid, members] = Fields<4>(line);
    const std::optional<uint32_t> number = ParseId(gid);
    std::string_view rest = members;
    while (number && !rest.empty()) {
      const size_t end = rest.find(',');
      if (rest.substr(0, end) == user) {
        out.push_back(*number);
        break;
      }
      rest.remove_prefix(end == rest.npos ? rest.size() : end + 1);
    }
    return false;
  });
  return out;
}

}  // namespace veneer::build
