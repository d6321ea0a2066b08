#include "fs/xattr_io.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>

#include "store/base/beneath.h"

namespace veneer::fs {

namespace {

// Newer than the headers of the oldest systems Veneer is built on.
#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452
#endif
#ifndef SYS_setxattrat
#define SYS_setxattrat 463
#define SYS_getxattrat 464
#define SYS_listxattrat 465
#define SYS_removexattrat 466
#endif

// struct xattr_args of linux/xattr.h.
struct XattrArgs {
  alignas(8) uint64_t value;
  uint32_t size;
  uint32_t flags;
};

// A system call that this kernel may lack.
class NewCall {
 public:
  // True: `call` was answered, and `result` is what it returned (-1: errno says why). False: it is
  // to be done the old way. EPERM may be a container's filter that does not know the call: the old
  // way says it again if it was meant.
  template <typename Call, typename N>
  bool Try(Call call, N& result) {
    if (lacking_.load(std::memory_order_relaxed)) return false;
    result = static_cast<N>(call());
    if (result >= 0) return true;
    if (errno == ENOSYS) lacking_.store(true, std::memory_order_relaxed);
    return errno != ENOSYS && errno != EPERM;
  }

 private:
  std::atomic<bool> lacking_{false};
};

NewCall xattr_at;
NewCall chmod_at;

// Calls one of these for `file`: by its descriptor, which fails with EBADF where that is O_PATH; by
// a name in a directory; by a path whose last component, a link of procfs, leads to the open file;
// by a path that ends with the name.
template <typename ByFd, typename ByName, typename ByLink, typename ByPath>
auto Call(const FileAt& file, ByFd by_fd, ByName by_name, ByLink by_link, ByPath by_path)
    -> decltype(by_fd(0)) {
  decltype(by_fd(0)) result;
  if (file.name().empty()) {
    result = by_fd(file.fd());
    if (result >= 0 || errno != EBADF) return result;
    return by_link(FdPath(file.fd()).c_str());
  }
  if (xattr_at.Try([&] { return by_name(file.fd(), file.name().c_str()); }, result)) return result;
  return by_path(FdPath(file.fd(), file.name()).c_str());
}

// Calls `read(buffer, size)` with a buffer large enough for what it returns.
template <typename Read>
Result<std::string> ReadGrowing(Read read, const char* what) {
  char small[256];
  ssize_t n = read(small, sizeof small);
  if (n >= 0) return std::string(small, static_cast<size_t>(n));
  while (errno == ERANGE) {
    n = read(nullptr, 0);
    if (n < 0) break;
    std::string value(static_cast<size_t>(n), '\0');
    n = read(value.data(), value.size());
    if (n >= 0) {
      value.resize(static_cast<size_t>(n));
      return value;
    }
  }
  return Errno(what);
}

}  // namespace

Result<std::string> GetXattr(const FileAt& file, const std::string& name) {
  const char* key = name.c_str();
  return ReadGrowing(
      [&](char* buffer, size_t size) {
        return Call(
            file, [&](int fd) { return fgetxattr(fd, key, buffer, size); },
            [&](int dirfd, const char* entry) {
              XattrArgs args = {.value = reinterpret_cast<uintptr_t>(buffer),
                                .size = static_cast<uint32_t>(size),
                                .flags = 0};
              return syscall(SYS_getxattrat, dirfd, entry, AT_SYMLINK_NOFOLLOW, key, &args,
                             sizeof args);
            },
            [&](const char* link) { return getxattr(link, key, buffer, size); },
            [&](const char* path) { return lgetxattr(path, key, buffer, size); });
      },
      "getxattr");
}

Result<std::optional<std::string>> FindXattr(const FileAt& file, const std::string& name) {
  auto value = GetXattr(file, name);
  if (value) return std::optional(std::move(*value));
  int code = value.error().code();
  if (code == ENODATA || code == EOPNOTSUPP || code == EPERM) return std::nullopt;
  return std::unexpected(std::move(value).error());
}

Result<std::vector<std::string>> ListXattr(const FileAt& file) {
  auto list = ReadGrowing(
      [&](char* buffer, size_t size) {
        return Call(
            file, [&](int fd) { return flistxattr(fd, buffer, size); },
            [&](int dirfd, const char* entry) {
              return syscall(SYS_listxattrat, dirfd, entry, AT_SYMLINK_NOFOLLOW, buffer, size);
            },
            [&](const char* link) { return listxattr(link, buffer, size); },
            [&](const char* path) { return llistxattr(path, buffer, size); });
      },
      "listxattr");
  std::vector<std::string> names;
  if (!list) {
    if (list.error().code() == EOPNOTSUPP) return names;
    return std::unexpected(std::move(list).error());
  }
  std::string_view rest = *list;
  while (!rest.empty()) {
    std::string_view name = rest.substr(0, rest.find('\0'));
    names.emplace_back(name);
    rest.remove_prefix(std::min(rest.size(), name.size() + 1));
  }
  return names;
}

Result<> SetXattr(const FileAt& file, const std::string& name, std::string_view value, int flags) {
  const char* key = name.c_str();
  int rc = Call(
      file, [&](int fd) { return fsetxattr(fd, key, value.data(), value.size(), flags); },
      [&](int dirfd, const char* entry) {
        XattrArgs args = {.value = reinterpret_cast<uintptr_t>(value.data()),
                          .size = static_cast<uint32_t>(value.size()),
                          .flags = static_cast<uint32_t>(flags)};
        return syscall(SYS_setxattrat, dirfd, entry, AT_SYMLINK_NOFOLLOW, key, &args, sizeof args);
      },
      [&](const char* link) { return setxattr(link, key, value.data(), value.size(), flags); },
      [&](const char* path) { return lsetxattr(path, key, value.data(), value.size(), flags); });
  if (rc != 0) return Errno("setxattr");
  return {};
}

Result<> RemoveXattr(const FileAt& file, const std::string& name) {
  const char* key = name.c_str();
  int rc = Call(
      file, [&](int fd) { return fremovexattr(fd, key); },
      [&](int dirfd, const char* entry) {
        return syscall(SYS_removexattrat, dirfd, entry, AT_SYMLINK_NOFOLLOW, key);
      },
      [&](const char* link) { return removexattr(link, key); },
      [&](const char* path) { return lremovexattr(path, key); });
  if (rc != 0) return Errno("removexattr");
  return {};
}

Result<> KeepingXattr(const FileAt& file, const std::string& name,
                      const std::function<Result<>()>& change) {
  TRY_ASSIGN(auto value, FindXattr(file, name));
  Result<> changed = change();
  if (value) TRY(SetXattr(file, name, *value));
  return changed;
}

Result<> SetMode(int fd, mode_t mode) {
  int rc;
  if (chmod_at.Try([&] { return syscall(SYS_fchmodat2, fd, "", mode, AT_EMPTY_PATH); }, rc)) {
    return rc == 0 ? Result<>() : Errno("chmod");
  }
  rc = fchmod(fd, mode);
  if (rc != 0 && errno == EBADF) rc = chmod(FdPath(fd).c_str(), mode);  // O_PATH
  return rc == 0 ? Result<>() : Errno("chmod");
}

}  // namespace veneer::fs
