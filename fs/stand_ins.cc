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

std::optional<StandIns::Key> StandIns::KeyOf(const FileAt& file) {
  struct statx st = {};
  if (statx(file.fd(), file.name().c_str(), AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH,
            STATX_TYPE | STATX_INO | STATX_BTIME, &st) != 0) {
    return std::nullopt;
  }
  if (S_ISREG(st.stx_mode) || S_ISDIR(st.stx_mode)) return std::nullopt;
  Key key{.ino = st.stx_ino, .birth = ""};
  if ((st.stx_mask & STATX_BTIME) != 0) {
    key.birth = std::to_string(st.stx_btime.tv_sec) + "." + std::to_string(st.stx_btime.tv_nsec);
  }
  return key;
}

FileAt StandIns::PlaceOf(uint64_t ino) const { return FileAt(dir_, NameOf(ino)); }

bool StandIns::Has(uint64_t ino) const {
  std::shared_lock lock(mu_);
  return inos_.contains(ino);
}

std::optional<FileAt> StandIns::Find(const FileAt& file) const {
  if (!any_) return std::nullopt;
  auto key = KeyOf(file);
  if (!key || !Has(key->ino)) return std::nullopt;
  FileAt found = PlaceOf(key->ino);
  auto birth = FindXattr(found, kBirth);
  if (!birth || *birth != key->birth) return std::nullopt;
  return found;
}

Result<FileAt> StandIns::Make(const FileAt& file) {
  if (auto found = Find(file)) return *found;
  auto key = KeyOf(file);
  if (!key) return Fail(EPERM, "stand-in");
  std::string name = "standin#" + std::to_string(next_name_.fetch_add(1));
  TRY(OpenAt(temporary_, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
  auto placed = [&]() -> Result<> {
    TRY(SetXattr(FileAt(temporary_, name), kBirth, key->birth));
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
  return PlaceOf(key->ino);
}

void StandIns::Erase(uint64_t ino) {
  if (!any_ || !Has(ino)) return;
  unlinkat(dir_, NameOf(ino).c_str(), 0);
  std::unique_lock lock(mu_);
  inos_.erase(ino);
}

}  // namespace veneer::fs
