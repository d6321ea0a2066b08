#include "fs/stand_ins.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <charconv>
#include <cstdio>

#include "fs/dir_stream.h"
#include "store/base/beneath.h"
#include "store/base/fault.h"

namespace veneer::fs {

namespace {

constexpr const char* kBirth = "user.overlay.veneer.birth";
constexpr int kNameLength = 16;

std::string NameOf(uint64_t ino) {
  char text[kNameLength + 1];
  std::snprintf(text, sizeof text, "%016lx", ino);
  return text;
}

}  // namespace

Result<> StandIns::Load(int dir, int temporary) {
  dir_ = dir;
  temporary_ = temporary;
  TRY_ASSIGN(DirStream stream, DirStream::Open(dir));
  std::unique_lock lock(mu_);
  for (;;) {
    TRY_ASSIGN(const struct dirent* entry, stream.Next());
    if (entry == nullptr) break;
    std::string_view name = entry->d_name;
    uint64_t ino = 0;
    auto parsed = std::from_chars(name.data(), name.data() + name.size(), ino, 16);
    if (name.size() != kNameLength || parsed.ptr != name.data() + name.size()) continue;
    inos_.insert(ino);
  }
  any_ = !inos_.empty();
  return {};
}

std::optional<StandIns::Key> StandIns::KeyOf(const std::string& path, XattrPath how) {
  struct statx st = {};
  int flags = how == XattrPath::kNoFollow ? AT_SYMLINK_NOFOLLOW : 0;
  if (statx(AT_FDCWD, path.c_str(), flags, STATX_TYPE | STATX_INO | STATX_BTIME, &st) != 0) {
    return std::nullopt;
  }
  if (S_ISREG(st.stx_mode) || S_ISDIR(st.stx_mode)) return std::nullopt;
  Key key{.ino = st.stx_ino, .birth = ""};
  if ((st.stx_mask & STATX_BTIME) != 0) {
    key.birth = std::to_string(st.stx_btime.tv_sec) + "." + std::to_string(st.stx_btime.tv_nsec);
  }
  return key;
}

std::string StandIns::PathOf(uint64_t ino) const { return FdPath(dir_, NameOf(ino)); }

bool StandIns::Has(uint64_t ino) const {
  std::shared_lock lock(mu_);
  return inos_.contains(ino);
}

std::optional<std::string> StandIns::Find(const std::string& path, XattrPath how) const {
  if (!any_) return std::nullopt;
  auto key = KeyOf(path, how);
  if (!key || !Has(key->ino)) return std::nullopt;
  std::string found = PathOf(key->ino);
  auto birth = FindXattr(found, kBirth, XattrPath::kNoFollow);
  if (!birth || *birth != key->birth) return std::nullopt;
  return found;
}

Result<std::string> StandIns::Make(const std::string& path, XattrPath how) {
  if (auto found = Find(path, how)) return *found;
  auto key = KeyOf(path, how);
  if (!key) return Fail(EPERM, "stand-in");
  std::string name = "standin#" + std::to_string(next_name_.fetch_add(1));
  TRY(OpenAt(temporary_, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
  auto placed = [&]() -> Result<> {
    TRY(SetXattr(FdPath(temporary_, name), kBirth, key->birth, 0, XattrPath::kNoFollow));
    TRY(FaultPoint("stand_in.before_rename"));
    if (renameat(temporary_, name.c_str(), dir_, NameOf(key->ino).c_str()) != 0) {
      return Errno("stand-in");
    }
    return {};
  }();
  if (!placed) {
    unlinkat(temporary_, name.c_str(), 0);
    return std::unexpected(std::move(placed).error());
  }
  std::unique_lock lock(mu_);
  inos_.insert(key->ino);
  any_ = true;
  return PathOf(key->ino);
}

void StandIns::Erase(uint64_t ino) {
  if (!any_ || !Has(ino)) return;
  unlinkat(dir_, NameOf(ino).c_str(), 0);
  std::unique_lock lock(mu_);
  inos_.erase(ino);
}

}  // namespace veneer::fs
