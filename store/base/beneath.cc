#include "store/base/beneath.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include <memory>

namespace veneer {
namespace {

template <typename Call>
auto Retry(Call call) {
  decltype(call()) r;
  do {
    r = call();
  } while (r < 0 && errno == EINTR);
  return r;
}

struct CloseDir {
  void operator()(DIR* d) const { closedir(d); }
};

// Removes what is in `dir`. Directories nested deeper than this are moved up to `top` first and
// removed from there, so that neither descriptors nor the stack run out, however deep somebody made
// them.
constexpr int kMaxDepth = 64;

// What is mounted at a directory is not below it. A mount is known by its root where the kernel
// says so (5.8): one of the same filesystem has the same device.
Result<bool> IsMountRoot(int fd, dev_t around) {
  struct statx stx = {};
  if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE, &stx) != 0) {
    return Errno("statx");
  }
  if (stx.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT) {
    return (stx.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
  }
  return makedev(stx.stx_dev_major, stx.stx_dev_minor) != around;
}

Result<UniqueFd> OpenForRemoval(int dirfd, const std::string& name) {
  constexpr int kFlags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;
  auto dir = OpenAt(dirfd, name, kFlags);
  if (dir || dir.error().code() != EACCES) return dir;
  auto found = OpenAt(dirfd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW);
  if (found && chmod(FdPath(found->get()).c_str(), 0700) == 0) return OpenAt(dirfd, name, kFlags);
  return dir;
}

// unlinkat(2). Its owner may remove what is in a directory, whatever the directory's mode says now.
int UnlinkFrom(int dirfd, const std::string& name, int flags) {
  int r = unlinkat(dirfd, name.c_str(), flags);
  if (r != 0 && errno == EACCES && fchmod(dirfd, 0700) == 0) {
    r = unlinkat(dirfd, name.c_str(), flags);
  }
  return r;
}

// Moves a directory. It is itself written to: its "..".
int MoveUp(int from, const std::string& name, int moved, int top, const std::string& to) {
  int r = renameat(from, name.c_str(), top, to.c_str());
  if (r == 0 || errno != EACCES) return r;
  for (int dir : {from, moved, top}) (void)fchmod(dir, 0700);
  return renameat(from, name.c_str(), top, to.c_str());
}

Result<> RemoveChildren(UniqueFd dir, dev_t dev, int top, int depth, uint64_t* moved) {
  std::unique_ptr<DIR, CloseDir> stream(fdopendir(dir.get()));
  if (!stream) return Errno("fdopendir");
  int fd = dir.Release();  // owned by the stream now
  for (;;) {
    errno = 0;
    dirent* entry = readdir(stream.get());
    if (!entry) {
      if (errno != 0) return Errno("readdir");
      return {};
    }
    std::string name = entry->d_name;
    if (name == "." || name == "..") continue;
    bool denied = false;
    if (entry->d_type != DT_DIR) {
      if (UnlinkFrom(fd, name, 0) == 0 || errno == ENOENT) continue;
      if (errno != EISDIR && errno != EPERM) return Errno("unlink " + name);
      denied = errno == EPERM;  // immutable, or a directory
    }
    auto child = OpenForRemoval(fd, name);
    if (!child && child.error().code() == EACCES && fchmod(fd, 0700) == 0) {
      child = OpenForRemoval(fd, name);
    }
    if (!child) {
      if (child.error().code() == ENOENT) continue;  // somebody else removes it, too
      if (denied && child.error().code() == ENOTDIR) return Fail(EPERM, "unlink " + name);
      return std::unexpected(child.error());
    }
    TRY_ASSIGN(bool mounted, IsMountRoot(child->get(), dev));
    if (mounted) return Fail(EXDEV, name + " is a mount point");
    if (depth >= kMaxDepth) {
      // One of these names may be there from a removal that was interrupted, and even be above us.
      for (;;) {
        std::string to = ".veneer-deep-" + std::to_string((*moved)++);
        if (MoveUp(fd, name, child->get(), top, to) == 0) break;
        if (errno != EEXIST && errno != ENOTEMPTY && errno != ENOTDIR)
          return Errno("rename " + name);
      }
      continue;
    }
    TRY(RemoveChildren(std::move(*child), dev, top, depth + 1, moved));
    if (UnlinkFrom(fd, name, AT_REMOVEDIR) != 0 && errno != ENOENT) return Errno("rmdir " + name);
  }
}

}  // namespace

Result<UniqueFd> OpenAt(int dirfd, const std::string& path, int flags, mode_t mode) {
  int fd = Retry([&] { return openat(dirfd, path.c_str(), flags | O_CLOEXEC, mode); });
  if (fd < 0) return Errno("open " + path);
  return UniqueFd(fd);
}

Result<UniqueFd> OpenBeneath(int dirfd, const std::string& path, int flags, bool follow,
                             mode_t mode) {
  open_how how{};
  how.flags = static_cast<uint64_t>(flags) | O_CLOEXEC;
  how.mode = flags & (O_CREAT | O_TMPFILE) ? mode : 0;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | (follow ? 0 : RESOLVE_NO_SYMLINKS);
  // EAGAIN: a rename raced with the walk and the kernel could not prove that it stayed beneath.
  long fd;
  do {
    fd = syscall(SYS_openat2, dirfd, path.c_str(), &how, sizeof how);
  } while (fd < 0 && (errno == EINTR || errno == EAGAIN));
  if (fd < 0) return Errno("open " + path);
  return UniqueFd(static_cast<int>(fd));
}

Result<> EnsureDir(int dirfd, const std::string& path, mode_t mode) {
  if (mkdirat(dirfd, path.c_str(), mode) == 0) return {};
  int error = errno;
  struct stat st;
  if (error == EEXIST && fstatat(dirfd, path.c_str(), &st, 0) == 0) {
    if (S_ISDIR(st.st_mode)) return {};
    return Fail(ENOTDIR, "mkdir " + path);
  }
  return Fail(error, "mkdir " + path);
}

Result<size_t> ReadUpTo(int fd, void* buffer, size_t size) {
  size_t done = 0;
  while (done < size) {
    ssize_t n = Retry([&] { return read(fd, static_cast<char*>(buffer) + done, size - done); });
    if (n < 0) return Errno("read");
    if (n == 0) break;
    done += static_cast<size_t>(n);
  }
  return done;
}

Result<size_t> PreadUpTo(int fd, void* buffer, size_t size, uint64_t offset) {
  size_t done = 0;
  while (done < size) {
    ssize_t n = Retry([&] {
      return pread(fd, static_cast<char*>(buffer) + done, size - done,
                   static_cast<off_t>(offset + done));
    });
    if (n < 0) return Errno("pread");
    if (n == 0) break;
    done += static_cast<size_t>(n);
  }
  return done;
}

Result<> WriteAll(int fd, std::string_view data) {
  while (!data.empty()) {
    ssize_t n = Retry([&] { return write(fd, data.data(), data.size()); });
    if (n < 0) return Errno("write");
    data.remove_prefix(static_cast<size_t>(n));
  }
  return {};
}

Result<> PwriteAll(int fd, std::string_view data, uint64_t offset) {
  while (!data.empty()) {
    ssize_t n =
        Retry([&] { return pwrite(fd, data.data(), data.size(), static_cast<off_t>(offset)); });
    if (n < 0) return Errno("pwrite");
    data.remove_prefix(static_cast<size_t>(n));
    offset += static_cast<uint64_t>(n);
  }
  return {};
}

Result<std::string> ReadFileAt(int dirfd, const std::string& path, size_t limit) {
  TRY_ASSIGN(UniqueFd fd, OpenAt(dirfd, path, O_RDONLY));
  std::string out;
  char buffer[65536];
  for (;;) {
    TRY_ASSIGN(size_t n, ReadUpTo(fd.get(), buffer, sizeof buffer));
    if (n == 0) return out;
    if (out.size() + n > limit) return Fail(EFBIG, "read " + path);
    out.append(buffer, n);
  }
}

Result<> RemoveTree(int dirfd, const std::string& path) {
  struct stat st;
  if (fstatat(dirfd, path.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT) return {};
    return Errno("stat " + path);
  }
  if (!S_ISDIR(st.st_mode)) {
    if (unlinkat(dirfd, path.c_str(), 0) != 0 && errno != ENOENT) return Errno("unlink " + path);
    return {};
  }
  auto opened = OpenForRemoval(dirfd, path);
  if (!opened) {
    if (opened.error().code() == ENOENT) return {};
    return std::unexpected(opened.error());
  }
  UniqueFd dir = std::move(*opened);
  TRY_ASSIGN(bool mounted, IsMountRoot(dir.get(), st.st_dev));
  if (mounted) return Fail(EXDEV, path + " is a mount point");
  for (uint64_t moved = 0, before = 1; moved != before;) {  // until a pass moves nothing up
    before = moved;
    auto again = OpenAt(dir.get(), ".", O_RDONLY | O_DIRECTORY);
    if (!again && again.error().code() == EACCES && fchmod(dir.get(), 0700) == 0) {
      again = OpenAt(dir.get(), ".", O_RDONLY | O_DIRECTORY);
    }
    if (!again) return std::unexpected(again.error());
    TRY(RemoveChildren(std::move(*again), st.st_dev, dir.get(), 1, &moved));
  }
  if (unlinkat(dirfd, path.c_str(), AT_REMOVEDIR) != 0 && errno != ENOENT)
    return Errno("rmdir " + path);
  return {};
}

Result<struct stat> StatAt(int dirfd, const std::string& path, int flags) {
  struct stat st;
  if (fstatat(dirfd, path.c_str(), &st, flags) != 0) return Errno("stat " + path);
  return st;
}

Result<std::optional<timespec>> BirthTimeAt(int dirfd, const std::string& path) {
  struct statx stx = {};
  if (statx(dirfd, path.c_str(), AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH, STATX_BTIME, &stx) != 0) {
    return Errno("statx");
  }
  if ((stx.stx_mask & STATX_BTIME) == 0) return std::nullopt;
  return timespec{static_cast<time_t>(stx.stx_btime.tv_sec),
                  static_cast<long>(stx.stx_btime.tv_nsec)};
}

Result<> FsyncDir(int dirfd, const std::string& path) {
  TRY_ASSIGN(UniqueFd fd, OpenAt(dirfd, path, O_RDONLY | O_DIRECTORY));
  if (fsync(fd.get()) != 0) return Errno("fsync " + path);
  return {};
}

std::string FdPath(int fd) { return "/proc/self/fd/" + std::to_string(fd); }
std::string FdPath(int fd, std::string_view name) { return FdPath(fd) + "/" + std::string(name); }

}  // namespace veneer
