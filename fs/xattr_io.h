// Extended attributes and modes of files, as Results, by the shortest way the kernel has: through
// the descriptor, or by a name in a directory (Linux 6.6 and 6.13); else by a path in /proc, which
// costs a walk through it (three times as long). No state but what the kernel lacks; thread-safe.
#pragma once

#include <sys/types.h>

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "store/base/result.h"

namespace veneer::fs {

// The file that a call is about; the descriptor stays its owner's, and may be O_PATH in either
// case.
class FileAt {
 public:
  // What `fd` is open on, a symlink opened with O_PATH included.
  explicit FileAt(int fd) : fd_(fd) {}
  // The entry `name` of directory `dirfd`, not followed where it is a symlink; "": the directory.
  FileAt(int dirfd, std::string_view name) : fd_(dirfd), name_(name) {}

  int fd() const { return fd_; }
  const std::string& name() const { return name_; }

 private:
  int fd_;
  std::string name_;
};

// ENODATA where there is none.
Result<std::string> GetXattr(const FileAt& file, const std::string& name);
// nullopt where there is none, or the filesystem has no extended attributes.
Result<std::optional<std::string>> FindXattr(const FileAt& file, const std::string& name);
// Stored names, unsorted; empty where the filesystem has no extended attributes.
Result<std::vector<std::string>> ListXattr(const FileAt& file);
// `flags` as setxattr(2).
Result<> SetXattr(const FileAt& file, const std::string& name, std::string_view value,
                  int flags = 0);
Result<> RemoveXattr(const FileAt& file, const std::string& name);
// Calls `change`, and puts the attribute back if it took that away.
Result<> KeepingXattr(const FileAt& file, const std::string& name,
                      const std::function<Result<>()>& change);

// chmod(2) of what `fd`, which may be O_PATH, is open on.
Result<> SetMode(int fd, mode_t mode);

}  // namespace veneer::fs
