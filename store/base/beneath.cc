#include "store/base/beneath.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>

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
    if (entry->d_type != DT_DIR) {
      if (unlinkat(fd, name.c_str(), 0) == 0 || errno == ENOENT) continue;
      if (errno != EISDIR && errno != EPERM) return Errno("unlink " + name);
    }
    auto child = OpenAt(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (!child) {
      if (child.error().code() != EACCES || fchmodat(fd, name.c_str(), 0700, 0) != 0) {
        return std::unexpected(child.error());
      }
      child = OpenAt(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
      if (!child) return std::unexpected(child.error());
    }
    struct stat st;
    if (fstat(child->get(), &st) != 0) return Errno("fstat " + name);
    if (st.st_dev != dev) return Fail(EXDEV, name + " is a mount point");
    if (depth >= kMaxDepth) {
      std::string to = ".veneer-deep-" + std::to_string((*moved)++);
      if (renameat(fd, name.c_str(), top, to.c_str()) != 0) return Errno("rename " + name);
      continue;
    }
    TRY(RemoveChildren(std::move(*child), dev, top, depth + 1, moved));
    if (unlinkat(fd, name.c_str(), AT_REMOVEDIR) != 0 && errno != ENOENT)
      return Errno("rmdir " + name);
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
  TRY_ASSIGN(UniqueFd dir, OpenAt(dirfd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  for (uint64_t moved = 0, before = 1; moved != before;) {  // until a pass moves nothing up
    before = moved;
    TRY_ASSIGN(UniqueFd again, OpenAt(dir.get(), ".", O_RDONLY | O_DIRECTORY));
    TRY(RemoveChildren(std::move(again), st.st_dev, dir.get(), 1, &moved));
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
