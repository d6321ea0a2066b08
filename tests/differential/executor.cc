#include "tests/differential/executor.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "tests/differential/bytes.h"

namespace veneer::differential {

namespace {

sigjmp_buf touch_failed;

void OnBadTouch(int number) { siglongjmp(touch_failed, number); }

struct timespec TimeOf(const Op& op) { return {.tv_sec = op.off, .tv_nsec = op.off2}; }

bool OnLink(const Op& op) { return (op.flags & AT_SYMLINK_NOFOLLOW) != 0; }

int64_t SetXattr(const Op& op, int fd) {
  std::string value = XattrValue(op.name, op.value);
  int flags = static_cast<int>(op.flags & (XATTR_CREATE | XATTR_REPLACE));
  const char* name = op.name.c_str();
  if (fd >= 0) return fsetxattr(fd, name, value.data(), value.size(), flags);
  return OnLink(op) ? lsetxattr(op.path.c_str(), name, value.data(), value.size(), flags)
                    : setxattr(op.path.c_str(), name, value.data(), value.size(), flags);
}

// Whether [from, to) of the file holds nothing but zeros.
bool AllZeros(int fd, int64_t from, int64_t to) {
  char buffer[16384];
  while (from < to) {
    size_t want = static_cast<size_t>(std::min<int64_t>(to - from, sizeof buffer));
    ssize_t n = pread(fd, buffer, want, from);
    if (n < 0 && errno == EBADF) return true;  // not open for reading: nothing to check
    if (n <= 0) return n == 0;
    if (std::any_of(buffer, buffer + n, [](char c) { return c != 0; })) return false;
    from += n;
  }
  return true;
}

}  // namespace

Executor::Executor(std::string root) : root_(std::move(root)) {
  struct sigaction action = {};
  action.sa_handler = OnBadTouch;
  sigaction(SIGBUS, &action, nullptr);
  sigaction(SIGSEGV, &action, nullptr);
}

FileStat StatOf(const struct stat& st) {
  return {.known = true,
          .mode = st.st_mode,
          .uid = st.st_uid,
          .gid = st.st_gid,
          .nlink = st.st_nlink,
          .size = st.st_size,
          .rdev = st.st_rdev,
          .ino = st.st_ino,
          .dev = st.st_dev,
          .mtime_sec = st.st_mtim.tv_sec,
          .mtime_nsec = st.st_mtim.tv_nsec};
}

void Executor::Release() {
  for (Mapping& mapping : maps_) {
    if (mapping.address != nullptr) munmap(mapping.address, mapping.size);
    mapping = {};
  }
  for (Slot& slot : slots_) slot = {};
  if (chdir("/") != 0) _exit(1);
  base_ = -2;
  root_fd_.Reset();
}

void Executor::DropPages() {
  for (const Mapping& mapping : maps_) {
    if (mapping.shared) madvise(mapping.address, mapping.size, MADV_DONTNEED);
  }
  for (const Slot& slot : slots_) {
    if (slot.fd) posix_fadvise(slot.fd.get(), 0, 0, POSIX_FADV_DONTNEED);
  }
}

// A mapping keeps the description of a local file, and the locks with it; that of a file which is
// passed through is gone with its descriptor. So nobody is left holding locks by a mapping alone.
void Executor::CloseSlot(Slot& slot) {
  bool mapped = std::any_of(maps_.begin(), maps_.end(),
                            [](const Mapping& mapping) { return mapping.address != nullptr; });
  if (slot.fd && mapped) {
    flock(slot.fd.get(), LOCK_UN);
    struct flock all = {};
    all.l_type = F_UNLCK;
    fcntl(slot.fd.get(), F_OFD_SETLK, &all);
  }
  slot = {};
}

bool Executor::EnterBase(const Op& op) {
  if (op.at < 0 && base_ == -1) return true;
  base_ = -2;
  int fd = FdOf(op.at);
  if (op.at < 0) {
    if (!root_fd_) root_fd_.Reset(open(root_.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    fd = root_fd_.get();
  }
  if (fchdir(fd) != 0) return false;
  if (op.at < 0) base_ = -1;  // a slot's directory may be another one the next time
  return true;
}

int64_t Executor::OpenInto(const Op& op, int flags) {
  int fd = open(op.path.c_str(), flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, op.mode);
  if (fd < 0) return -1;
  Slot& slot = slots_[static_cast<size_t>(op.slot)];
  CloseSlot(slot);
  slot.fd.Reset(fd);
  return 0;
}

int64_t Executor::ReadDir(const Op& op, Reply& reply) {
  Slot& slot = slots_[static_cast<size_t>(op.slot)];
  std::string buffer(static_cast<size_t>(op.len), '\0');
  long n = syscall(SYS_getdents64, slot.fd.get(), buffer.data(), buffer.size());
  if (n < 0) return -1;
  int64_t count = 0;
  for (long at = 0; at < n; ++count) {
    const auto* entry = reinterpret_cast<const struct dirent64*>(buffer.data() + at);
    reply.payload += static_cast<char>('a' + entry->d_type);
    reply.payload += entry->d_name;
    reply.payload += '\0';
    slot.positions.push_back(entry->d_off);
    at += entry->d_reclen;
  }
  return count;
}

// To behind the `off`-th entry read, or the last one.
int64_t Executor::SeekDir(const Op& op) {
  Slot& slot = slots_[static_cast<size_t>(op.slot)];
  size_t to = std::min(static_cast<size_t>(op.off), slot.positions.size());
  if (lseek(slot.fd.get(), to == 0 ? 0 : slot.positions[to - 1], SEEK_SET) < 0) return -1;
  slot.positions.resize(to);
  return static_cast<int64_t>(to);
}

// Where data and holes are is the host's own choice; what counts is that holes are zeros, and that
// both say the same of offsets beyond the end.
int64_t Executor::Seek(const Op& op) {
  int fd = FdOf(op.slot);
  struct stat st = {};
  if (fstat(fd, &st) != 0) return -1;
  int64_t found = lseek(fd, op.off, static_cast<int>(op.flags));
  if (!S_ISREG(st.st_mode) || op.off < 0 || op.off >= st.st_size) return found < 0 ? -1 : 0;
  int64_t zeros_from = op.off;
  int64_t zeros_to = found < 0 ? st.st_size : found;
  if (found < 0 && errno != ENXIO) return -1;
  if (op.flags == SEEK_HOLE) {
    if (found < 0 || found > st.st_size) return -1;
    zeros_from = found;
    zeros_to = lseek(fd, found, SEEK_DATA);
    if (zeros_to < 0) zeros_to = st.st_size;
  }
  lseek(fd, 0, SEEK_SET);
  if (!AllZeros(fd, zeros_from, zeros_to)) {
    errno = Reply::kNotZeros;
    return -1;
  }
  return 0;
}

int64_t Executor::OnName(const Op& op, Reply& reply) {
  const char* path = op.path.c_str();
  switch (op.kind) {
    case OpKind::kStat:
      return 0;  // StatAfter does it
    case OpKind::kAccess:
      return access(path, static_cast<int>(op.mode));
    case OpKind::kOpen:
      return OpenInto(op, static_cast<int>(op.flags));
    case OpKind::kTmpFile:
      return OpenInto(op, static_cast<int>(op.flags) | O_TMPFILE);
    case OpKind::kLinkTmp:
      return linkat(AT_FDCWD, fmt::format("/proc/self/fd/{}", FdOf(op.slot)).c_str(), AT_FDCWD,
                    path, AT_SYMLINK_FOLLOW);
    case OpKind::kMkdir:
      return mkdir(path, op.mode);
    case OpKind::kRmdir:
      return rmdir(path);
    case OpKind::kUnlink:
      return unlink(path);
    case OpKind::kRename:
      return renameat2(AT_FDCWD, path, AT_FDCWD, op.path2.c_str(), op.flags);
    case OpKind::kLink:
      return linkat(AT_FDCWD, path, AT_FDCWD, op.path2.c_str(), static_cast<int>(op.flags));
    case OpKind::kSymlink:
      return symlink(op.path2.c_str(), path);
    case OpKind::kReadlink: {
      buffer_.resize(4096);
      ssize_t n = readlink(path, buffer_.data(), buffer_.size());
      if (n > 0) reply.payload = buffer_.substr(0, static_cast<size_t>(n));
      return n;
    }
    case OpKind::kMknod:
      return mknod(path, op.mode, static_cast<dev_t>(op.len));
    case OpKind::kChmod:
      return chmod(path, op.mode);
    case OpKind::kChown:
      return fchownat(AT_FDCWD, path, op.mode, static_cast<gid_t>(op.len),
                      static_cast<int>(op.flags));
    case OpKind::kUtimens: {
      struct timespec times[2] = {TimeOf(op), TimeOf(op)};
      return utimensat(AT_FDCWD, path, times, static_cast<int>(op.flags));
    }
    case OpKind::kTruncate:
      return truncate(path, op.len);
    case OpKind::kSetXattr:
      return SetXattr(op, -1);
    case OpKind::kGetXattr: {
      buffer_.resize(65536);
      const char* name = op.name.c_str();
      ssize_t n = OnLink(op) ? lgetxattr(path, name, buffer_.data(), buffer_.size())
                             : getxattr(path, name, buffer_.data(), buffer_.size());
      if (n > 0) reply.hash = HashOf({buffer_.data(), static_cast<size_t>(n)});
      return n;
    }
    case OpKind::kListXattr: {
      buffer_.resize(65536);
      ssize_t n = OnLink(op) ? llistxattr(path, buffer_.data(), buffer_.size())
                             : listxattr(path, buffer_.data(), buffer_.size());
      if (n < 0) return n;
      std::vector<std::string> names;
      for (ssize_t at = 0; at < n; at += static_cast<ssize_t>(names.back().size()) + 1) {
        names.emplace_back(buffer_.c_str() + at);
      }
      std::sort(names.begin(), names.end());
      for (const std::string& name : names) reply.payload += name + ' ';
      return n;
    }
    case OpKind::kRemoveXattr:
      return OnLink(op) ? lremovexattr(path, op.name.c_str()) : removexattr(path, op.name.c_str());
    case OpKind::kReadFile: {
      UniqueFd fd(open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
      if (!fd) return -1;
      struct stat st = {};
      if (fstat(fd.get(), &st) != 0 || !S_ISREG(st.st_mode)) return 0;
      buffer_.resize(static_cast<size_t>(st.st_size) + 4096);
      ssize_t n = read(fd.get(), buffer_.data(), buffer_.size());
      if (n > 0) reply.hash = HashOf({buffer_.data(), static_cast<size_t>(n)});
      return n;
    }
    default:
      errno = ENOSYS;
      return -1;
  }
}

int64_t Executor::OnDescriptor(const Op& op, Reply& reply) {
  int fd = FdOf(op.slot);
  auto length = static_cast<size_t>(op.len);
  switch (op.kind) {
    case OpKind::kClose:
      if (fd < 0) {
        errno = EBADF;
        return -1;
      }
      CloseSlot(slots_[static_cast<size_t>(op.slot)]);
      return 0;
    case OpKind::kFstat:
      return fcntl(fd, F_GETFD) < 0 ? -1 : 0;
    case OpKind::kFchmod:
      return fchmod(fd, op.mode);
    case OpKind::kFchown:
      return fchown(fd, op.mode, static_cast<gid_t>(op.len));
    case OpKind::kFutimens: {
      struct timespec times[2] = {TimeOf(op), TimeOf(op)};
      return futimens(fd, times);
    }
    case OpKind::kFtruncate:
      return ftruncate(fd, op.len);
    case OpKind::kFsetXattr:
      if (fd < 0) {
        errno = EBADF;
        return -1;
      }
      return SetXattr(op, fd);
    case OpKind::kPread:
    case OpKind::kRead: {
      buffer_.resize(length);
      ssize_t n = op.kind == OpKind::kRead ? read(fd, buffer_.data(), length)
                                           : pread(fd, buffer_.data(), length, op.off);
      if (n > 0) reply.hash = HashOf({buffer_.data(), static_cast<size_t>(n)});
      return n;
    }
    case OpKind::kPwrite:
    case OpKind::kWrite:
      buffer_.resize(length);
      FillBytes(buffer_.data(), length, op.value, static_cast<uint64_t>(op.off));
      return op.kind == OpKind::kWrite ? write(fd, buffer_.data(), length)
                                       : pwrite(fd, buffer_.data(), length, op.off);
    case OpKind::kFallocate:
      return fallocate(fd, static_cast<int>(op.flags), op.off, op.len);
    case OpKind::kSeek:
      return Seek(op);
    case OpKind::kCopyRange: {
      int64_t from = op.off;
      int64_t to = op.off2;
      return copy_file_range(fd, &from, FdOf(op.slot2), &to, length, 0);
    }
    case OpKind::kFsync:
      return op.flags != 0 ? fdatasync(fd) : fsync(fd);
    case OpKind::kAdvise: {
      int error = posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
      errno = error;
      return error == 0 ? 0 : -1;
    }
    case OpKind::kFlock:
      return flock(fd, static_cast<int>(op.flags) | LOCK_NB);
    case OpKind::kLock:
    case OpKind::kGetLock: {
      struct flock lock = {.l_type = static_cast<short>(op.flags),
                           .l_whence = SEEK_SET,
                           .l_start = op.off,
                           .l_len = op.len,
                           .l_pid = 0};
      bool get = op.kind == OpKind::kGetLock;
      bool ofd = op.value != 0;
      int command = get ? (ofd ? F_OFD_GETLK : F_GETLK) : (ofd ? F_OFD_SETLK : F_SETLK);
      if (fcntl(fd, command, &lock) != 0) return -1;
      return get ? lock.l_type * 1000003 + lock.l_start * 1009 + lock.l_len : 0;
    }
    case OpKind::kReaddir:
    case OpKind::kSeekdir:
      if (fd < 0) {
        errno = EBADF;
        return -1;
      }
      return op.kind == OpKind::kReaddir ? ReadDir(op, reply) : SeekDir(op);
    default:
      errno = ENOSYS;
      return -1;
  }
}

int64_t Executor::Touch(const Op& op, Reply& reply, const Mapping& mapping) {
  // The compiler must not keep anything over the jump: all that counts is in the arguments.
  int number = sigsetjmp(touch_failed, 1);
  if (number != 0) {
    errno = Reply::kSignal + number;
    return -1;
  }
  if (op.kind == OpKind::kMread) {
    reply.hash = HashOf({mapping.address + op.off, static_cast<size_t>(op.len)});
  } else {
    FillBytes(mapping.address + op.off, static_cast<size_t>(op.len), op.value,
              static_cast<uint64_t>(op.off));
  }
  return 0;
}

int64_t Executor::OnMapping(const Op& op, Reply& reply) {
  Mapping& mapping = maps_[static_cast<size_t>(op.slot2)];
  if (op.kind == OpKind::kMmap) {
    constexpr uint32_t kPrivate = 0x10;
    void* address =
        mmap(nullptr, static_cast<size_t>(op.len), static_cast<int>(op.flags & 7),
             (op.flags & kPrivate) != 0 ? MAP_PRIVATE : MAP_SHARED, FdOf(op.slot), op.off);
    if (address == MAP_FAILED) return -1;
    if (mapping.address != nullptr) munmap(mapping.address, mapping.size);
    mapping = {static_cast<char*>(address), static_cast<size_t>(op.len),
               (op.flags & kPrivate) == 0};
    return 0;
  }
  if (mapping.address == nullptr) {
    errno = EINVAL;
    return -1;
  }
  switch (op.kind) {
    case OpKind::kMread:
    case OpKind::kMwrite:
      if (op.off < 0 || op.len < 0 || static_cast<size_t>(op.off + op.len) > mapping.size) {
        errno = EINVAL;
        return -1;
      }
      return Touch(op, reply, mapping);
    case OpKind::kMsync:
      return msync(mapping.address, mapping.size, static_cast<int>(op.flags));
    default: {
      int result = munmap(mapping.address, mapping.size);
      mapping = {};
      return result;
    }
  }
}

void Executor::StatAfter(const Op& op, Reply& reply) {
  struct stat st = {};
  int result = -1;
  switch (op.kind) {
    case OpKind::kOpen:
    case OpKind::kTmpFile:
    case OpKind::kFstat:
    case OpKind::kFchmod:
    case OpKind::kFchown:
    case OpKind::kFutimens:
    case OpKind::kFtruncate:
    case OpKind::kFsetXattr:
    case OpKind::kPread:
    case OpKind::kPwrite:
    case OpKind::kRead:
    case OpKind::kWrite:
    case OpKind::kFallocate:
    case OpKind::kFsync:
      result = fstat(FdOf(op.slot), &st);
      break;
    case OpKind::kCopyRange:
      result = fstat(FdOf(op.slot2), &st);
      break;
    case OpKind::kRename:
    case OpKind::kLink:
      result = lstat(op.path2.c_str(), &st);
      break;
    case OpKind::kStat:
      result = fstatat(AT_FDCWD, op.path.c_str(), &st, static_cast<int>(op.flags));
      if (result != 0) reply.error = errno;
      break;
    case OpKind::kChmod:
    case OpKind::kTruncate:
    case OpKind::kReadFile:
      result = stat(op.path.c_str(), &st);
      break;
    case OpKind::kRmdir:
    case OpKind::kUnlink:
      return;
    default:
      if (op.kind >= OpKind::kClose) return;
      result = lstat(op.path.c_str(), &st);
      break;
  }
  if (result == 0) {
    reply.st = StatOf(st);
  } else if (op.kind >= OpKind::kClose) {
    reply.error = errno;
  }
}

Reply Executor::Execute(const Op& op) {
  Reply reply;
  if (op.kind == OpKind::kRemount || op.kind == OpKind::kDrop) {
    op.kind == OpKind::kRemount ? Release() : DropPages();
    return reply;
  }
  bool on_name = op.kind < OpKind::kClose;
  bool needs_slot = op.kind == OpKind::kOpen || op.kind == OpKind::kTmpFile ||
                    (!on_name && op.kind <= OpKind::kMmap);
  if ((needs_slot && op.slot < 0) || (op.kind >= OpKind::kMmap && op.slot2 < 0)) {
    reply.error = EBADF;
    return reply;
  }
  if (on_name && !EnterBase(op)) {
    reply.error = errno;
    return reply;
  }
  if (on_name) {
    reply.value = OnName(op, reply);
  } else if (op.kind < OpKind::kMmap) {
    reply.value = OnDescriptor(op, reply);
  } else {
    reply.value = OnMapping(op, reply);
  }
  if (reply.value < 0) {
    reply.error = errno;
    reply.value = 0;
  } else {
    StatAfter(op, reply);
  }
  return reply;
}

}  // namespace veneer::differential
