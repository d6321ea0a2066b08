#include "store/file_facts.h"

#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <climits>

#include "store/base/beneath.h"

namespace veneer {

// All extended attributes of `name` in the directory `dirfd` ("" for the directory itself), as
// stored.
Result<std::vector<tree::Xattr>> StoredXattrs(int dirfd, const std::string& name) {
  std::string path = name.empty() ? FdPath(dirfd) + "/." : FdPath(dirfd, name);
  std::string names;
  for (;;) {
    ssize_t size = llistxattr(path.c_str(), nullptr, 0);
    if (size < 0) {
      if (errno == ENOTSUP) return std::vector<tree::Xattr>{};
      return Errno("listxattr " + name);
    }
    names.resize(static_cast<size_t>(size));
    size = llistxattr(path.c_str(), names.data(), names.size());
    if (size < 0 && errno == ERANGE) continue;
    if (size < 0) return Errno("listxattr " + name);
    names.resize(static_cast<size_t>(size));
    break;
  }
  std::vector<tree::Xattr> all;
  for (size_t at = 0; at < names.size();) {
    std::string key = names.c_str() + at;
    at += key.size() + 1;
    char buffer[65536];  // XATTR_SIZE_MAX
    ssize_t size = lgetxattr(path.c_str(), key.c_str(), buffer, sizeof buffer);
    if (size < 0 && errno == ENODATA) continue;
    if (size < 0) return Errno("getxattr " + key);
    all.push_back({std::move(key), std::string(buffer, static_cast<size_t>(size))});
  }
  return all;
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
