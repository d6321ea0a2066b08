#include "store/file_facts.h"

#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <climits>

#include "store/base/beneath.h"

namespace veneer {

namespace {

constexpr size_t kUsualNames = 1024;  // bytes of attribute names that one call mostly gets

// `list` and `get` are listxattr(2) and getxattr(2) of one file.
template <typename List, typename Get>
Result<std::vector<tree::Xattr>> AllXattrs(List list, Get get) {
  std::string names(kUsualNames, '\0');
  for (;;) {
    ssize_t size = list(names.data(), names.size());
    if (size < 0 && errno == ERANGE) {
      size = list(nullptr, 0);
      if (size > 0) names.resize(static_cast<size_t>(size));
      if (size >= 0) continue;
    }
    if (size < 0 && errno == ENOTSUP) return std::vector<tree::Xattr>{};
    if (size < 0) return Errno("listxattr");
    names.resize(static_cast<size_t>(size));
    break;
  }
  std::vector<tree::Xattr> all;
  for (size_t at = 0; at < names.size();) {
    std::string key = names.c_str() + at;
    at += key.size() + 1;
    char buffer[65536];  // XATTR_SIZE_MAX
    ssize_t size = get(key.c_str(), buffer, sizeof buffer);
    if (size < 0 && errno == ENODATA) continue;
    if (size < 0) return Errno("getxattr " + key);
    all.push_back({std::move(key), std::string(buffer, static_cast<size_t>(size))});
  }
  return all;
}

}  // namespace

Result<std::vector<tree::Xattr>> StoredXattrs(int dirfd, const std::string& name) {
  std::string path = name.empty() ? FdPath(dirfd) + "/." : FdPath(dirfd, name);
  auto all =
      AllXattrs([&](char* names, size_t size) { return llistxattr(path.c_str(), names, size); },
                [&](const char* key, char* value, size_t size) {
                  return lgetxattr(path.c_str(), key, value, size);
                });
  if (!all) return std::unexpected(all.error().Within(name));
  return all;
}

Result<std::vector<tree::Xattr>> StoredXattrs(int fd) {
  return AllXattrs(
      [&](char* names, size_t size) { return flistxattr(fd, names, size); },
      [&](const char* key, char* value, size_t size) { return fgetxattr(fd, key, value, size); });
}

tree::Attributes AttributesOf(const struct stat& st) {
  tree::Attributes attr;
  attr.mode = st.st_mode;
  attr.uid = st.st_uid;
  attr.gid = st.st_gid;
  attr.size = S_ISREG(st.st_mode) || S_ISLNK(st.st_mode) ? static_cast<uint64_t>(st.st_size) : 0;
  attr.mtime_sec = st.st_mtim.tv_sec;
  attr.mtime_nsec = static_cast<uint32_t>(st.st_mtim.tv_nsec);
  if (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode)) {
    attr.rdev_major = major(st.st_rdev);
    attr.rdev_minor = minor(st.st_rdev);
  }
  return attr;
}

Result<std::string> ReadLinkAt(int dirfd, const std::string& name) {
  std::string target(PATH_MAX, '\0');
  ssize_t n = readlinkat(dirfd, name.c_str(), target.data(), target.size());
  if (n < 0) return Errno("readlink " + name);
  target.resize(static_cast<size_t>(n));
  return target;
}

}  // namespace veneer
