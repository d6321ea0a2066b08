#include "tools/output_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>

#include "store/base/beneath.h"
#include "store/lease.h"

namespace veneer::tools {
namespace {

std::string TemporaryName() { return kTemporaryPrefix + RandomHex().substr(0, 16); }

std::unexpected<Error> CannotWrite(const std::string& path, int code) {
  return Invalid("cannot write '" + path + "': " + strerror(code), code);
}

template <typename T>
Result<T> ForPath(const std::string& path, Result<T> result) {
  if (!result) return CannotWrite(path, result.error().code());
  return result;
}

}  // namespace

Result<NewFile> NewFile::Create(int dirfd, mode_t mode) {
  auto unnamed = OpenAt(dirfd, ".", O_TMPFILE | O_RDWR, mode);
  if (unnamed) return NewFile(dirfd, std::move(*unnamed), "");
  std::string name = TemporaryName();
  TRY_ASSIGN(UniqueFd named, OpenAt(dirfd, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, mode));
  return NewFile(dirfd, std::move(named), std::move(name));
}

NewFile::~NewFile() {
  if (!temporary_.empty()) unlinkat(dirfd_, temporary_.c_str(), 0);
}

Result<> NewFile::Commit(const std::string& name) {
  if (temporary_.empty()) {
    const std::string self = FdPath(fd_.get());
    if (linkat(AT_FDCWD, self.c_str(), dirfd_, name.c_str(), AT_SYMLINK_FOLLOW) == 0) return {};
    if (errno != EEXIST) return Errno("name " + name);
    // linkat(2) does not replace what has the name; rename(2) does.
    std::string temporary = TemporaryName();
    if (linkat(AT_FDCWD, self.c_str(), dirfd_, temporary.c_str(), AT_SYMLINK_FOLLOW) != 0)
      return Errno("name " + temporary);
    temporary_ = std::move(temporary);
  }
  if (renameat(dirfd_, temporary_.c_str(), dirfd_, name.c_str()) != 0)
    return Errno("rename " + name);
  temporary_.clear();
  return {};
}

Result<OutputFile> OutputFile::Open(const std::string& path) {
  OutputFile out;
  if (path.empty()) {
    if (isatty(STDOUT_FILENO) == 1)
      return Invalid("refusing to write an archive to a terminal; use -o FILE or redirect");
    out.fd_.Reset(fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0));
    return out;
  }
  struct stat st = {};
  // A pipe or a device: there is no name to guard.
  if (stat(path.c_str(), &st) == 0 && !S_ISREG(st.st_mode)) {
    if (S_ISDIR(st.st_mode)) return Invalid("'" + path + "' is a directory; name a file", EISDIR);
    TRY_ASSIGN(out.fd_, ForPath(path, OpenAt(AT_FDCWD, path, O_WRONLY)));
    return out;
  }
  out.path_ = path;
  const std::string folder = std::filesystem::path(path).parent_path();
  TRY_ASSIGN(out.dir_, ForPath(path, OpenAt(AT_FDCWD, folder.empty() ? "." : folder,
                                            O_RDONLY | O_DIRECTORY)));
  TRY_ASSIGN(NewFile file, ForPath(path, NewFile::Create(out.dir_.get(), 0644)));
  out.file_.emplace(std::move(file));
  return out;
}

Result<> OutputFile::Commit() {
  if (!file_) return {};
  if (fsync(fd()) != 0) return CannotWrite(path_, errno);
  const std::string name = std::filesystem::path(path_).filename();
  TRY(ForPath(path_, file_->Commit(name)));
  return ForPath(path_, FsyncDir(dir_.get(), "."));
}

}  // namespace veneer::tools
