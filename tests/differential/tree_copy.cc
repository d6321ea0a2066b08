#include "tests/differential/tree_copy.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <memory>
#include <vector>

#include "store/base/beneath.h"
#include "store/base/unique_fd.h"

namespace veneer::differential {

namespace {

Result<> CopyXattrs(const std::string& from, const std::string& to) {
  std::string list(65536, '\0');
  ssize_t n = llistxattr(from.c_str(), list.data(), list.size());
  if (n < 0) return Errno("listxattr " + from);
  std::string value(65536, '\0');
  for (ssize_t at = 0; at < n;) {
    std::string name = list.c_str() + at;
    at += static_cast<ssize_t>(name.size()) + 1;
    ssize_t size = lgetxattr(from.c_str(), name.c_str(), value.data(), value.size());
    if (size < 0) return Errno("getxattr " + from);
    if (lsetxattr(to.c_str(), name.c_str(), value.data(), static_cast<size_t>(size), 0) != 0) {
      return Errno("setxattr " + name + " " + to);
    }
  }
  return {};
}

Result<> CopyData(const std::string& from, const std::string& to, int64_t size) {
  UniqueFd in(open(from.c_str(), O_RDONLY | O_CLOEXEC));
  UniqueFd out(open(to.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!in || !out) return Errno("open " + to);
  if (ftruncate(out.get(), size) != 0) return Errno("truncate " + to);
  std::string buffer(1 << 20, '\0');
  for (int64_t at = 0; at < size;) {
    at = lseek(in.get(), at, SEEK_DATA);
    if (at < 0) break;
    int64_t end = lseek(in.get(), at, SEEK_HOLE);
    while (at < end) {
      ssize_t n = pread(in.get(), buffer.data(),
                        static_cast<size_t>(std::min<int64_t>(end - at, 1 << 20)), at);
      if (n <= 0) return Errno("read " + from);
      TRY(PwriteAll(out.get(), std::string_view(buffer).substr(0, static_cast<size_t>(n)),
                    static_cast<uint64_t>(at)));
      at += n;
    }
  }
  return {};
}

Result<> CopyBelow(const std::string& from, const std::string& to,
                   std::map<ino_t, std::string>& linked) {
  TRY_ASSIGN(auto names, NamesIn(from));
  for (const std::string& name : names) {
    std::string source = from + "/" + name;
    std::string target = to + "/" + name;
    struct stat st = {};
    if (lstat(source.c_str(), &st) != 0) return Errno("stat " + source);
    if (!S_ISDIR(st.st_mode) && st.st_nlink > 1) {
      auto [it, fresh] = linked.emplace(st.st_ino, target);
      if (!fresh) {
        if (link(it->second.c_str(), target.c_str()) != 0) return Errno("link " + target);
        continue;
      }
    }
    TRY(CopyOne(source, target));
    if (S_ISDIR(st.st_mode)) TRY(CopyBelow(source, target, linked));
    TRY(CopyTimes(source, target));
  }
  return {};
}

}  // namespace

Result<std::vector<std::string>> NamesIn(const std::string& dir) {
  std::unique_ptr<DIR, int (*)(DIR*)> stream(opendir(dir.c_str()), closedir);
  if (!stream) return Errno("opendir " + dir);
  std::vector<std::string> names;
  while (const struct dirent* entry = readdir(stream.get())) {
    std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(std::move(name));
  }
  std::sort(names.begin(), names.end());
  return names;
}

Result<> CopyOne(const std::string& from, const std::string& to) {
  struct stat st = {};
  if (lstat(from.c_str(), &st) != 0) return Errno("stat " + from);
  int made = 0;
  if (S_ISLNK(st.st_mode)) {
    std::string target(4096, '\0');
    ssize_t n = readlink(from.c_str(), target.data(), target.size());
    if (n < 0) return Errno("readlink " + from);
    target.resize(static_cast<size_t>(n));
    made = symlink(target.c_str(), to.c_str());
  } else if (S_ISDIR(st.st_mode)) {
    made = mkdir(to.c_str(), 0700);
    if (made != 0 && errno == EEXIST) made = 0;
  } else if (S_ISREG(st.st_mode)) {
    TRY(CopyData(from, to, st.st_size));
  } else {
    made = mknod(to.c_str(), st.st_mode, st.st_rdev);
  }
  if (made != 0) return Errno("make " + to);
  if (!S_ISLNK(st.st_mode)) {  // what the directory's default ACL gave it
    removexattr(to.c_str(), "system.posix_acl_access");
    if (S_ISDIR(st.st_mode)) removexattr(to.c_str(), "system.posix_acl_default");
  }
  if (lchown(to.c_str(), st.st_uid, st.st_gid) != 0) return Errno("chown " + to);
  if (!S_ISLNK(st.st_mode) && chmod(to.c_str(), st.st_mode & 07777) != 0) {
    return Errno("chmod " + to);
  }
  return CopyXattrs(from, to);
}

Result<> CopyTimes(const std::string& from, const std::string& to) {
  struct stat st = {};
  if (lstat(from.c_str(), &st) != 0) return Errno("stat " + from);
  struct timespec times[2] = {st.st_mtim, st.st_mtim};
  if (utimensat(AT_FDCWD, to.c_str(), times, AT_SYMLINK_NOFOLLOW) != 0) return Errno("utimens");
  return {};
}

Result<> CopyTree(const std::string& from, const std::string& to) {
  std::map<ino_t, std::string> linked;
  TRY(CopyOne(from, to));
  TRY(CopyBelow(from, to, linked));
  return CopyTimes(from, to);
}

}  // namespace veneer::differential
