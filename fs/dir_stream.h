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
    DirStream made;
    made.stream_.reset(fdopendir(fd.get()));
    if (!made.stream_) return Errno("opendir");
    fd.Release();
    return made;
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
      errno = 0;
      const struct dirent* entry = readdir(stream_.get());
      if (entry == nullptr && errno != 0) return Errno("readdir");
      if (entry == nullptr) return nullptr;
      std::string_view name = entry->d_name;
      if (name != "." && name != "..") return entry;
    }
  }

 private:
  struct Close {
    void operator()(DIR* stream) const { closedir(stream); }
  };
  DirStream() = default;
  std::unique_ptr<DIR, Close> stream_;
};

}  // namespace veneer::fs
