#include "tools/build/run/process_user.h"

#include <algorithm>
#include <optional>

#include "tools/build/run/account_file.h"
#include "tools/build/run/root_path.h"

namespace veneer::build {
namespace {

constexpr size_t kMaxAccountFile = 16U << 20;
// Docker's limit: what fits a signed number.
constexpr uint32_t kMaxId = INT32_MAX;

// A missing file has no accounts.
Result<std::string> ReadAccounts(int root_fd, const std::string& path) {
  auto text = ReadFileInRoot(root_fd, path, kMaxAccountFile);
  if (text) return text;
  const int code = text.error().code();
  if (code == ENOENT || code == ENOTDIR) return std::string();
  return Invalid("cannot read " + path + " of the image: " + text.error().Message(), code);
}

Result<uint32_t> InRange(uint32_t id) {
  if (id > kMaxId) return Invalid("uids and gids must be in range 0-2147483647");
  return id;
}

// A number, though it may be none that an id can be.
bool IsNumber(std::string_view text) {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

Result<uint32_t> NumberOf(std::string_view text) {
  const std::optional<uint32_t> id = ParseId(text);
  return InRange(id ? *id : UINT32_MAX);
}

}  // namespace

Result<ProcessUser> ResolveUser(int root_fd, std::string_view user) {
  const size_t colon = user.find(':');
  std::string_view name = user.substr(0, colon);
  std::string_view group;
  if (colon != user.npos) {
    group = user.substr(colon + 1);
    group = group.substr(0, group.find(':'));
  }
  if (name.empty()) name = "0";

  auto accounts = ReadAccounts(root_fd, "etc/passwd");
  if (!accounts && user.empty()) return ProcessUser{.groups = {0}};  // root, come what may
  TRY_ASSIGN(const std::string passwd, std::move(accounts));
  ProcessUser out;
  std::optional<Account> account;
  if (IsNumber(name)) {
    TRY_ASSIGN(out.uid, NumberOf(name));
    // With both numbers given there is nothing to look up.
    if (!IsNumber(group)) account = FindAccount(passwd, std::to_string(out.uid));
  } else {
    account = FindAccount(passwd, name);
    if (!account) {
      return Invalid(
          "unable to find user " + std::string(name) + ": no matching entries in passwd file",
          ENOENT);
    }
  }
  if (account) {
    TRY_ASSIGN(out.uid, InRange(account->uid));
    TRY_ASSIGN(out.gid, InRange(account->gid));
  }

  if (IsNumber(group)) {
    TRY_ASSIGN(out.gid, NumberOf(group));
  } else if (!group.empty() || account) {
    TRY_ASSIGN(const std::string groups, ReadAccounts(root_fd, "etc/group"));
    if (group.empty()) {
      out.groups = GroupsOf(groups, account->name);
    } else {
      const std::optional<uint32_t> gid = FindGroup(groups, group);
      if (!gid) {
        return Invalid(
            "unable to find group " + std::string(group) + ": no matching entries in group file",
            ENOENT);
      }
      TRY_ASSIGN(out.gid, InRange(*gid));
    }
  }
  // A process that gives its supplementary groups up must not gain what its group is kept from.
  std::erase(out.groups, out.gid);
  out.groups.insert(out.groups.begin(), out.gid);

  if (const auto owner = FindAccount(passwd, std::to_string(out.uid));
      owner && !owner->home.empty()) {
    out.home = owner->home;
  }
  return out;
}

}  // namespace veneer::build
