#include "tests/conformance/kernel_file_system.h"

#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <sys/fsuid.h>
#include <sys/ioctl.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <utility>

#include "store/base/beneath.h"
#include "store/base/unique_fd.h"

namespace veneer::fs::conformance {
namespace {

// What a system call returned, as a Result.
Result<> Done(int rc, const char* what) {
  if (rc != 0) return Errno(what);
  return {};
}

class KernelFile : public File {
 public:
  KernelFile(UniqueFd fd, std::string root) : fd_(std::move(fd)), root_(std::move(root)) {}

  Result<std::string> Read(size_t size, uint64_t offset) override {
    std::string data(size, '\0');
    TRY_ASSIGN(size_t n, PreadUpTo(fd_.get(), data.data(), size, offset));
    data.resize(n);
    return data;
  }
  Result<size_t> Write(std::string_view data, uint64_t offset) override {
    ssize_t n = pwrite(fd_.get(), data.data(), data.size(), static_cast<off_t>(offset));
    if (n < 0) return Errno("pwrite");
    return static_cast<size_t>(n);
  }
  Result<struct stat> Stat() override {
    struct stat st = {};
    TRY(Done(fstat(fd_.get(), &st), "fstat"));
    return st;
  }
  Result<> Chmod(mode_t mode) override { return Done(fchmod(fd_.get(), mode), "fchmod"); }
  Result<> Chown(uid_t uid, gid_t gid) override {
    return Done(fchown(fd_.get(), uid, gid), "fchown");
  }
  Result<> Truncate(uint64_t size) override {
    return Done(ftruncate(fd_.get(), static_cast<off_t>(size)), "ftruncate");
  }
  Result<> Sync(bool data_only) override {
    return Done(data_only ? fdatasync(fd_.get()) : fsync(fd_.get()), "fsync");
  }
  Result<> Allocate(int mode, uint64_t offset, uint64_t length) override {
    return Done(fallocate(fd_.get(), mode, static_cast<off_t>(offset), static_cast<off_t>(length)),
                "fallocate");
  }
  Result<uint64_t> Seek(uint64_t offset, int whence) override {
    off_t found = lseek(fd_.get(), static_cast<off_t>(offset), whence);
    if (found < 0) return Errno("lseek");
    return static_cast<uint64_t>(found);
  }
  Result<size_t> CopyTo(File& to, uint64_t offset, uint64_t offset_to, size_t length) override {
    auto from_at = static_cast<off_t>(offset);
    auto to_at = static_cast<off_t>(offset_to);
    int to_fd = dynamic_cast<KernelFile&>(to).fd_.get();
    ssize_t n = copy_file_range(fd_.get(), &from_at, to_fd, &to_at, length, 0);
    if (n < 0) return Errno("copy_file_range");
    return static_cast<size_t>(n);
  }
  Result<> Link(const std::string& path) override {
    return Done(linkat(fd_.get(), "", AT_FDCWD, (root_ + "/" + path).c_str(), AT_EMPTY_PATH),
                "linkat");
  }

 private:
  const UniqueFd fd_;
  const std::string root_;
};

class KernelDirectory : public Directory {
 public:
  explicit KernelDirectory(DIR* dir) : dir_(dir) {}
  ~KernelDirectory() override { closedir(dir_); }

  Result<std::optional<DirItem>> Next() override {
    errno = 0;
    const struct dirent* entry = readdir(dir_);
    if (entry == nullptr && errno != 0) return Errno("readdir");
    if (entry == nullptr) return std::nullopt;
    return DirItem{.name = entry->d_name, .ino = entry->d_ino, .type = entry->d_type};
  }
  uint64_t Tell() override { return static_cast<uint64_t>(telldir(dir_)); }
  void Seek(uint64_t position) override { seekdir(dir_, static_cast<long>(position)); }
  void Rewind() override { rewinddir(dir_); }
  Result<struct stat> Stat() override {
    struct stat st = {};
    TRY(Done(fstat(dirfd(dir_), &st), "fstat"));
    return st;
  }
  Result<> Sync() override { return Done(fsync(dirfd(dir_)), "fsync"); }
  Result<> Create(const std::string& name) override {
    UniqueFd fd(openat(dirfd(dir_), name.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644));
    if (!fd) return Errno("openat");
    return {};
  }

 private:
  DIR* const dir_;
};

class KernelFileSystem : public FileSystem {
 public:
  KernelFileSystem(std::string root, std::function<Result<>()> remount)
      : root_(std::move(root)), remount_(std::move(remount)) {
    setgroups(0, nullptr);
  }
  ~KernelFileSystem() override { Become({.uid = 0, .gid = 0, .umask = 022}); }

  // fsuid changes take the capabilities over files away, and give them back.
  void Become(const Caller& caller) override {
    setfsgid(caller.gid);
    setfsuid(caller.uid);
    umask(caller.umask);
  }

  Result<struct stat> Stat(const std::string& path) override {
    struct stat st = {};
    TRY(Done(lstat(At(path).c_str(), &st), "lstat"));
    return st;
  }
  Result<FilePtr> Open(const std::string& path, int flags, mode_t mode) override {
    UniqueFd fd(open(At(path).c_str(), flags | O_NOFOLLOW | O_CLOEXEC, mode));
    if (!fd) return Errno("open");
    return std::make_unique<KernelFile>(std::move(fd), root_);
  }
  Result<FilePtr> TmpFile(const std::string& dir, mode_t mode) override {
    UniqueFd fd(open(At(dir).c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, mode));
    if (!fd) return Errno("open");
    return std::make_unique<KernelFile>(std::move(fd), root_);
  }
  Result<DirectoryPtr> OpenDir(const std::string& path) override {
    DIR* dir = opendir(At(path).c_str());
    if (dir == nullptr) return Errno("opendir");
    return std::make_unique<KernelDirectory>(dir);
  }
  Result<> MakeDir(const std::string& path, mode_t mode) override {
    return Done(mkdir(At(path).c_str(), mode), "mkdir");
  }
  Result<> MakeNode(const std::string& path, mode_t mode, dev_t device) override {
    return Done(mknod(At(path).c_str(), mode, device), "mknod");
  }
  Result<> MakeSymlink(const std::string& target, const std::string& path) override {
    return Done(symlink(target.c_str(), At(path).c_str()), "symlink");
  }
  Result<> Link(const std::string& from, const std::string& to) override {
    return Done(link(At(from).c_str(), At(to).c_str()), "link");
  }
  Result<> Unlink(const std::string& path) override {
    return Done(unlink(At(path).c_str()), "unlink");
  }
  Result<> RemoveDir(const std::string& path) override {
    return Done(rmdir(At(path).c_str()), "rmdir");
  }
  Result<> Rename(const std::string& from, const std::string& to, unsigned flags) override {
    return Done(renameat2(AT_FDCWD, At(from).c_str(), AT_FDCWD, At(to).c_str(), flags), "rename");
  }
  Result<std::string> ReadLink(const std::string& path) override {
    std::string target(4096, '\0');
    ssize_t n = readlink(At(path).c_str(), target.data(), target.size());
    if (n < 0) return Errno("readlink");
    target.resize(static_cast<size_t>(n));
    return target;
  }
  Result<> Chmod(const std::string& path, mode_t mode) override {
    return Done(chmod(At(path).c_str(), mode), "chmod");
  }
  Result<> Chown(const std::string& path, uid_t uid, gid_t gid) override {
    return Done(lchown(At(path).c_str(), uid, gid), "lchown");
  }
  Result<> Truncate(const std::string& path, uint64_t size) override {
    return Done(truncate(At(path).c_str(), static_cast<off_t>(size)), "truncate");
  }
  Result<> SetTimes(const std::string& path, timespec atime, timespec mtime) override {
    const timespec times[2] = {atime, mtime};
    return Done(utimensat(AT_FDCWD, At(path).c_str(), times, AT_SYMLINK_NOFOLLOW), "utimensat");
  }
  Result<std::string> GetXattr(const std::string& path, const std::string& name) override {
    std::string value(65536, '\0');
    ssize_t n = lgetxattr(At(path).c_str(), name.c_str(), value.data(), value.size());
    if (n < 0) return Errno("lgetxattr");
    value.resize(static_cast<size_t>(n));
    return value;
  }
  Result<std::vector<std::string>> ListXattr(const std::string& path) override {
    std::string list(65536, '\0');
    ssize_t n = llistxattr(At(path).c_str(), list.data(), list.size());
    if (n < 0) return Errno("llistxattr");
    std::vector<std::string> names;
    for (size_t at = 0; at < static_cast<size_t>(n); at += names.back().size() + 1) {
      names.emplace_back(list.c_str() + at);
    }
    return names;
  }
  Result<> SetXattr(const std::string& path, const std::string& name, std::string_view value,
                    int flags) override {
    return Done(lsetxattr(At(path).c_str(), name.c_str(), value.data(), value.size(), flags),
                "lsetxattr");
  }
  Result<> RemoveXattr(const std::string& path, const std::string& name) override {
    return Done(lremovexattr(At(path).c_str(), name.c_str()), "lremovexattr");
  }
  Result<struct statvfs> StatFs() override {
    struct statvfs st = {};
    TRY(Done(statvfs(root_.c_str(), &st), "statvfs"));
    return st;
  }
  Result<> Remount() override { return remount_ ? remount_() : Result<>(); }
  Result<control::Stats> Statistics() override {
    UniqueFd root(open(root_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    control::Stats stats = {};
    TRY(Done(ioctl(root.get(), control::kStats, &stats), "statistics"));
    return stats;
  }

 private:
  std::string At(const std::string& path) const {
    return path.empty() ? root_ : std::string(root_).append("/").append(path);
  }

  const std::string root_;
  const std::function<Result<>()> remount_;
};

}  // namespace

std::unique_ptr<FileSystem> MakeKernelFileSystem(const std::string& root,
                                                 std::function<Result<>()> remount) {
  return std::make_unique<KernelFileSystem>(root, std::move(remount));
}

}  // namespace veneer::fs::conformance
