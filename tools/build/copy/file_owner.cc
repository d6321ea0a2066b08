#include "tools/build/copy/file_owner.h"

#include <optional>
#include <string>

#include "store/base/beneath.h"
#include "tools/build/copy/source_match.h"
#include "tools/build/run/account_file.h"

namespace veneer::build {
namespace {

constexpr uint64_t kMaxAccountFile = 16 << 20;

// Empty where there is none.
Result<std::string> ReadAccountFile(const SourceTree& image, std::string_view path) {
  auto found = FollowLinks(image, path);
  if (!found) {
    if (found.error().code() == ENOENT) return std::string();
    return std::unexpected(found.error());
  }
  TRY_ASSIGN(const SourceEntry entry, image.Stat(*found));
  if (!S_ISREG(entry.attr.mode) || entry.attr.size == 0) return std::string();
  if (entry.attr.size > kMaxAccountFile) return Fail(EFBIG, "read /" + *found);
  TRY_ASSIGN(const UniqueFd fd, image.Open(*found));
  std::string text(entry.attr.size, '\0');
  TRY_ASSIGN(const size_t got, ReadUpTo(fd.get(), text.data(), text.size()));
  text.resize(got);
  return text;
}

std::optional<uint32_t> NumberOf(std::string_view text) {
  // An empty half of "user:" or ":group" is root's.
  if (text.empty() || text == "root") return 0;
  return ParseId(text);
}

}  // namespace

Result<FileOwner> ResolveOwner(std::string_view chown, const SourceTree* image) {
  const size_t colon = chown.find(':');
  const std::string_view user = chown.substr(0, colon);
  FileOwner owner;
  if (const auto uid = NumberOf(user)) {
    owner.uid = owner.gid = *uid;
  } else {
    if (!image) return Invalid("invalid user index: -1");
    TRY_ASSIGN(const std::string passwd, ReadAccountFile(*image, "etc/passwd"));
    if (const auto account = FindAccount(passwd, user); account && account->name == user) {
      owner.uid = account->uid;
      owner.gid = account->gid;
    }
  }
  if (colon == std::string_view::npos) return owner;
  const std::string_view group = chown.substr(colon + 1);
  if (const auto gid = NumberOf(group)) {
    owner.gid = *gid;
    return owner;
  }
  if (!image) return Invalid("invalid user index: -1");
  TRY_ASSIGN(const std::string groups, ReadAccountFile(*image, "etc/group"));
  if (const auto gid = FindGroup(groups, group)) owner.gid = *gid;
  return owner;
}

}  // namespace veneer::build
