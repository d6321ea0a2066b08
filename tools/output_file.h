// Files that others see whole or not at all: each gets its name only when all of it is written.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <utility>

#include "store/base/result.h"
#include "store/base/unique_fd.h"

namespace veneer::tools {

// How temporary names begin, for those who clean up.
inline constexpr const char* kTemporaryPrefix = ".veneer-new-";

// A regular file in a directory. Until it is committed it has no name, so that nothing is left of
// it when this process is ended. (A temporary name, where the filesystem has no unnamed files.)
class NewFile {
 public:
  // A file for the directory `dirfd`, which is borrowed and must outlive this.
  static Result<NewFile> Create(int dirfd, mode_t mode);
  NewFile(NewFile&& other) noexcept
      : dirfd_(other.dirfd_),
        fd_(std::move(other.fd_)),
        temporary_(std::exchange(other.temporary_, "")) {}
  NewFile& operator=(NewFile&&) = delete;
  ~NewFile();

  int fd() const { return fd_.get(); }
  // Gives the file the name `name` in its directory, and replaces what has it (EISDIR: a
  // directory). Durable only if the caller has synced the file, and syncs the directory.
  Result<> Commit(const std::string& name);

 private:
  NewFile(int dirfd, UniqueFd fd, std::string temporary)
      : dirfd_(dirfd), fd_(std::move(fd)), temporary_(std::move(temporary)) {}

  int dirfd_;
  UniqueFd fd_;
  std::string temporary_;  // in the directory; empty: the file has no name, or its own
};

// Where a command's output goes: standard output, a pipe or device, or a file that stands under its
// name once it is whole and on disk. Errors are sentences that name it.
class OutputFile {
 public:
  // Standard output for the empty path (EINVAL: that is a terminal). EISDIR: a directory.
  static Result<OutputFile> Open(const std::string& path);
  OutputFile(OutputFile&&) noexcept = default;
  OutputFile& operator=(OutputFile&&) = delete;

  int fd() const { return file_ ? file_->fd() : fd_.get(); }
  Result<> Commit();

 private:
  OutputFile() = default;

  std::string path_;
  UniqueFd dir_;                 // of file_
  std::optional<NewFile> file_;  // a regular file,
  UniqueFd fd_;                  // or anything else
};

}  // namespace veneer::tools
