#include "store/own_file.h"

#include <fcntl.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <csignal>

#include "store/file_facts.h"

namespace veneer {
namespace {

// Whether no descriptor and no mapping exists that could write to the file: only then is a read
// lease to be had.
bool NobodyCanWrite(int fd) {
  // If somebody opens it in this very moment, the signal is to be one that does nothing.
  if (fcntl(fd, F_SETSIG, SIGURG) != 0) return false;
  if (fcntl(fd, F_SETLEASE, F_RDLCK) != 0) return false;
  return fcntl(fd, F_SETLEASE, F_UNLCK) == 0;
}

bool SameTime(const timespec& a, const timespec& b) {
  return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

}  // namespace

std::optional<OwnFile> OwnFile::Begin(int fd, uint64_t size) {
  struct stat st;
  if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_nlink != 1 ||
      static_cast<uint64_t>(st.st_size) != size || !NobodyCanWrite(fd)) {
    return std::nullopt;
  }
  // On its way to the disk while it is read, or all of it would be waited for in the end.
  (void)sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE);
  return OwnFile(fd, st);
}

Result<> OwnFile::Finish(mode_t mode) {
  struct stat st;
  if (fstat(fd_, &st) != 0) return Errno("fstat");
  if (!SameTime(st.st_ctim, before_.st_ctim) || st.st_size != before_.st_size || st.st_nlink != 1 ||
      !NobodyCanWrite(fd_)) {
    return Invalid("a file changed while it was read", EBUSY);
  }
  if (fchown(fd_, geteuid(), getegid()) != 0) return Errno("chown");
  if (fchmod(fd_, mode) != 0) return Errno("chmod");
  TRY_ASSIGN(auto xattrs, StoredXattrs(fd_));
  // Those that the system keeps for itself stay; nobody but the owner sees any of them.
  for (const tree::Xattr& xattr : xattrs) (void)fremovexattr(fd_, xattr.name.c_str());
  return {};
}

}  // namespace veneer
