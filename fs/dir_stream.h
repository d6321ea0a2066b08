// DirStream: the entries of a directory of the host, one after the other, without "." and "..".
// Not thread-safe.
#pragma once

#include <dirent.h>
#include <fcntl.h>

#include <cerrno>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "store/base/beneath.h"
#include "store/base/result.h"

namespace veneer::fs {

class DirStream {
 public:
  // `dirfd` may be O_PATH; it stays the caller's, and its position is not used.
  static Result<DirStream> Open(int dirfd) {
    TRY_ASSIGN(UniqueFd fd, OpenAt(dirfd, ".", O_RDONLY | O_DIRECTORY));
    return DirStream(std::move(fd));
  }
  // All names of directory `dirfd`, which may be O_PATH; or those that are, or may be, directories.
  static Result<std::vector<std::string>> Names(int dirfd, bool directories = false) {
    TRY_ASSIGN(DirStream stream, Open(dirfd));
    std::vector<std::string> names;
    for (;;) {
      TRY_ASSIGN(const struct dirent* entry, stream.Next());
      if (entry == nullptr) return names;
      if (directories && entry->d_type != DT_DIR && entry->d_type != DT_UNKNOWN) continue;
      names.emplace_back(entry->d_name);
    }
  }
  // The next entry, valid until the next call; nullptr at the end. An error of the host's is not
  // an end.
  Result<const struct dirent*> Next() {
    for (;;) {
      if (next_ == end_) {
        ssize_t n = getdents64(fd_.get(), buffer_.get(), kBuffer);
        if (n < 0) return Errno("readdir");
        if (n == 0) return nullptr;
        next_ = 0;
        end_ = static_cast<size_t>(n);
      }
      auto* entry = reinterpret_cast<const struct dirent*>(buffer_.get() + next_);
      next_ += entry->d_reclen;
      std::string_view name = entry->d_name;
      if (name != "." && name != "..") return entry;
    }
  }

 private:
  // getdents64(2) has these, whatever the C library's own calls have.
  static_assert(sizeof(struct dirent) == sizeof(struct dirent64));
  static constexpr size_t kBuffer = 32 << 10;  // as the C library's

  explicit DirStream(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
  std::unique_ptr<char[]> buffer_ = std::make_unique_for_overwrite<char[]>(kBuffer);
  size_t next_ = 0;
  size_t end_ = 0;
};

}  // namespace veneer::fs
