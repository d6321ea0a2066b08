#include "store/own_file.h"

#include <fcntl.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <csignal>

#include "store/file_facts.h"

namespace veneer {
namespace {

// A read lease (fcntl(2)): to be had only where no descriptor and no mapping exists that could
// write to the file, and broken by whoever opens it to write.
class Lease {
 public:
  explicit Lease(int fd) : fd_(fd) {
    // If somebody opens it meanwhile, the signal is to be one that does nothing.
    taken_ = fcntl(fd, F_SETSIG, SIGURG) == 0 && fcntl(fd, F_SETLEASE, F_RDLCK) == 0;
  }
  ~Lease() {
    if (taken_) fcntl(fd_, F_SETLEASE, F_UNLCK);
  }
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;

  bool taken() const { return taken_; }
  bool unbroken() const { return taken_ && fcntl(fd_, F_GETLEASE) == F_RDLCK; }

 private:
  int fd_;
  bool taken_;
};

bool SameTime(const timespec& a, const timespec& b) {
  return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

}  // namespace

std::optional<OwnFile> OwnFile::Begin(int fd, uint64_t size) {
  struct stat st;
  if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_nlink != 1 ||
      static_cast<uint64_t>(st.st_size) != size || !Lease(fd).taken()) {
    return std::nullopt;
  }
  // On its way to the disk while it is read, or all of it would be waited for in the end.
  (void)sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE);
  return OwnFile(fd, st);
}

Result<> OwnFile::Finish(mode_t mode) {
  struct stat st;
  const Lease lease(fd_);  // first: who wrote before has changed the ctime
  if (fstat(fd_, &st) != 0) return Errno("fstat");
  if (!SameTime(st.st_ctim, before_.st_ctim) || st.st_size != before_.st_size || st.st_nlink != 1 ||
      !lease.unbroken()) {
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
