#include "tests/differential/sample_tree.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>

#include "store/base/beneath.h"
#include "store/base/unique_fd.h"
#include "tests/differential/bytes.h"
#include "tests/differential/random.h"
#include "tests/differential/tree_copy.h"

namespace veneer::differential {

namespace {

// Makes entries below one directory; the first failure is kept, and later calls do nothing.
class Maker {
 public:
  Maker(std::string root, uint64_t seed) : root_(std::move(root)), random_(seed) {}

  Random& random() { return random_; }
  Result<> Take() { return std::move(result_); }

  void Dir(const std::string& name, mode_t mode = 0755, uid_t uid = 0, gid_t gid = 0) {
    Run(name, [&](const char* path) { return mkdir(path, 0700); });
    Own(name, mode, uid, gid);
  }
  void File(const std::string& name, size_t size, mode_t mode = 0644, uid_t uid = 0,
            gid_t gid = 0) {
    std::string content(size, '\0');
    FillBytes(content.data(), size, static_cast<uint32_t>(random_.Below(1000) + 1), 0);
    Run(name, [&](const char* path) {
      UniqueFd fd(open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
      return fd && WriteAll(fd.get(), content) ? 0 : -1;
    });
    Own(name, mode, uid, gid);
  }
  // Data at some places, holes between.
  void SparseFile(const std::string& name, int64_t size, int64_t stride, uid_t uid = 0) {
    Run(name, [&](const char* path) {
      UniqueFd fd(open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
      std::string block(4096, 'S');
      for (int64_t at = stride; fd && at + 4096 < size; at += 2 * stride) {
        if (!PwriteAll(fd.get(), block, static_cast<uint64_t>(at))) return -1;
      }
      return fd ? ftruncate(fd.get(), size) : -1;
    });
    Own(name, 0644, uid, 0);
  }
  // Data in every third stretch of `run` bytes, holes between. No two pages are alike.
  void LargeFile(const std::string& name, size_t size, size_t run, uid_t uid = 0) {
    Run(name, [&](const char* path) {
      UniqueFd fd(open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
      for (size_t at = 0; fd && at < size; at += 3 * run) {
        std::string bytes(std::min(run, size - at), '\0');
        for (size_t i = 0; i < bytes.size(); i += kStretch) {
          FillBytes(bytes.data() + i, std::min(kStretch, bytes.size() - i),
                    static_cast<uint32_t>((at + i) / kStretch + 1), at + i);
        }
        if (!PwriteAll(fd.get(), bytes, at)) return -1;
      }
      return fd ? ftruncate(fd.get(), static_cast<off_t>(size)) : -1;
    });
    Own(name, 0666, uid, 0);
  }
  void Symlink(const std::string& name, const std::string& target, uid_t uid = 0) {
    Run(name, [&](const char* path) { return symlink(target.c_str(), path); });
    Run(name, [&](const char* path) { return lchown(path, uid, uid); });
  }
  void Link(const std::string& name, const std::string& existing) {
    std::string from = root_ + "/" + existing;
    Run(name, [&](const char* path) { return link(from.c_str(), path); });
  }
  void Node(const std::string& name, mode_t mode, dev_t device = 0, uid_t uid = 0) {
    Run(name, [&](const char* path) { return mknod(path, mode, device); });
    Own(name, mode & 07777, uid, 0);
  }
  void Xattr(const std::string& name, const std::string& xattr, uint32_t value) {
    std::string bytes = XattrValue(xattr, value);
    Run(name, [&](const char* path) {
      return lsetxattr(path, xattr.c_str(), bytes.data(), bytes.size(), 0);
    });
  }
  // Explicit times everywhere; children first, for making them changed their parents'.
  void SetTimes(const std::string& name = "") {
    std::string path = root_ + "/" + name;
    struct stat st = {};
    if (!result_ || lstat(path.c_str(), &st) != 0) return;
    if (S_ISDIR(st.st_mode)) {
      auto names = NamesIn(path);
      if (!names) {
        result_ = std::unexpected(names.error());
        return;
      }
      for (const std::string& child : *names) {
        std::string below = name;
        SetTimes(below.append(name.empty() ? "" : "/").append(child));
      }
    }
    Run(name, [&](const char* at) {
      struct timespec time = {.tv_sec = static_cast<time_t>(1000000000 + random_.Below(100000000)),
                              .tv_nsec = static_cast<long>(random_.Below(1000000000))};
      struct timespec times[2] = {time, time};
      return utimensat(AT_FDCWD, at, times, AT_SYMLINK_NOFOLLOW);
    });
  }

 private:
  static constexpr size_t kStretch = 4096;

  template <typename Call>
  void Run(const std::string& name, Call call) {
    if (!result_) return;
    std::string path = root_ + "/" + name;
    if (call(path.c_str()) != 0) result_ = Errno(path);
  }
  void Own(const std::string& name, mode_t mode, uid_t uid, gid_t gid) {
    Run(name, [&](const char* path) { return lchown(path, uid, gid); });
    Run(name, [&](const char* path) { return chmod(path, mode); });
  }

  const std::string root_;
  Random random_;
  Result<> result_;
};

void MakeSystem(Maker& make) {
  make.Dir("bin");
  for (int i = 0; i < 12; ++i) {
    make.File(fmt::format("bin/b{}", i), make.random().Below(20000), 0755);
  }
  make.File("bin/suid", 3000, 04755);
  make.File("bin/sgid", 5000, 02755, 0, 1000);
  make.File("bin/both", 100, 06777, 1000, 1000);
  make.File("bin/cap", 2000, 0777);
  make.Xattr("bin/cap", "security.capability", 3);
  make.Link("bin/suid2", "bin/suid");
  make.Dir("dev", 0777);
  make.Node("dev/null", S_IFCHR | 0666, makedev(1, 3));
  make.Node("dev/blk", S_IFBLK | 0640, makedev(7, 200));
  make.Node("dev/fifo", S_IFIFO | 0666);
  make.Node("dev/sock", S_IFSOCK | 0755, 0, 1000);
  make.Node("dev/fifo2", S_IFIFO | 0600, 0, 2000);
  make.Link("dev/fifolink", "dev/fifo");
  make.Dir("many");
  for (int i = 0; i < 60; ++i) make.File(fmt::format("many/m{:02}", i), make.random().Below(300));
  make.Dir("empty", 0777);
  make.Dir("empty/in", 0777);
}

void MakeHomes(Maker& make) {
  static constexpr const char* kBelow[] = {"/", "/x/", "/x/y/", "/x/y/z/", "/w/"};
  static constexpr mode_t kModes[] = {0644, 0600, 0664, 0444, 04755};
  static constexpr uid_t kOwners[] = {0, 1000, 2000};
  make.Dir("home");
  for (uid_t uid : {1000U, 2000U}) {
    std::string home = uid == 1000 ? "home/u1" : "home/u2";
    make.Dir(home, 0755, uid, uid);
    for (const char* dir : {"/x", "/x/y", "/x/y/z", "/w"}) make.Dir(home + dir, 0755, uid, uid);
    for (int i = 0; i < 10; ++i) {
      const char* dir = make.random().Pick(kBelow);
      make.File(home + dir + fmt::format("f{}", i), make.random().Below(9000),
                make.random().Pick(kModes), uid, uid);
    }
    make.File(home + "/linked", 6000, 0644, uid, uid);
    make.Link(home + "/x/linked", home + "/linked");
    make.Link(home + "/w/linked", home + "/linked");
    make.Symlink(home + "/tox", "x", uid);
    make.Symlink(home + "/tof", "x/linked", uid);
    make.SparseFile(home + "/sparse", 200000, 16384, uid);
    make.Xattr(home + "/linked", "user.a", 33);
    make.Xattr(home + "/x", "user.dir", 44);
  }
  make.Dir("shared", 01777);
  for (int i = 0; i < 8; ++i) {
    uid_t uid = make.random().Pick(kOwners);
    make.File(fmt::format("shared/s{}", i), 500, 0666, uid, uid);
  }
  make.Dir("shared/d1", 0777, 1000, 1000);
  make.Dir("shared/d2", 0777, 2000, 2000);
  make.File("shared/d1/f", 700, 0666, 1000, 1000);
  make.Dir("group", 02775, 0, 1000);
  make.File("group/f", 700, 0664, 1000, 1000);
  make.Dir("group/sub", 02775, 1000, 1000);
  make.Dir("acl", 0777);
  make.Xattr("acl", "system.posix_acl_default", 0x7f);
  make.File("acl/f", 400, 0664);
  make.Xattr("acl/f", "system.posix_acl_access", 0x6d);
  make.Dir("acl/d", 0777, 1000, 1000);
  make.Xattr("acl/d", "system.posix_acl_default", 0x5c);
}

void MakeShapes(Maker& make) {
  std::string deep = "deep";
  make.Dir(deep, 0777);
  for (const char* name : {"a", "b", "c", "d", "e", "f"}) {
    deep += std::string("/") + name;
    make.Dir(deep, 0777);
    make.File(deep + "/file", make.random().Below(5000), 0666);
    make.File(deep + "/other", 10, 0666, 1000, 1000);
  }
  make.Symlink("deep/up", "..");
  make.Symlink("deep/loop", "loop");
  make.Symlink("deep/dangling", "a/b/new");
  make.Symlink("deep/a/tofile", "b/c/file");
  make.Dir("data", 0777);
  make.File("data/big", 1 << 20, 0666);
  make.File("data/mid", 150000, 0666, 1000, 1000);
  make.SparseFile("data/sparse", 1 << 20, 65536);
  make.SparseFile("data/hole", 300000, 400000);
  make.File("data/empty", 0, 0666);
  make.File("data/one", 1, 0666);
  make.File("data/page", 4096, 0666);
  make.File("data/page1", 4097, 0666);
  // Large enough for engines that treat large files differently.
  make.LargeFile("data/large0", (3 << 20) + 1234, 3 << 20);
  make.LargeFile("data/large1", 12 << 20, 256 << 10, 2000);
  make.LargeFile("data/large2", (4 << 20) - 1, 1 << 20, 1000);
  make.Xattr("data/page", "trusted.t", 12);
  make.Xattr("data/page", "user.a", 50);
  make.Dir("links", 0777);
  for (int i = 0; i < 4; ++i) {
    std::string name = fmt::format("links/l{}", i);
    make.File(name, 100 + make.random().Below(9000), 0666);
    for (const char* dir : {"links/k", "data/k", "deep/a/b/k", "many/k"}) {
      if (make.random().Chance(60)) make.Link(fmt::format("{}{}", dir, i), name);
    }
  }
  make.Link("links/large2", "data/large2");
  make.Symlink("links/sym", "l0");
  make.Link("links/symlink2", "links/sym");
  make.Dir("names", 0777);
  make.File("names/" + std::string(255, 'n'), 30, 0666);
  make.Dir("names/" + std::string(255, 'd'), 0777);
  make.File("names/a b", 30, 0666);
  make.File("names/\xc3\xa4", 30, 0666);
  make.Dir("tree", 0777);
  for (int i = 0; i < 5; ++i) {
    std::string dir = fmt::format("tree/t{}", i);
    make.Dir(dir, 0777);
    for (int k = 0; k < 4; ++k) {
      std::string below = fmt::format("{}/s{}", dir, k);
      make.Dir(below, 0777);
      for (uint64_t n = make.random().Below(4); n > 0; --n) {
        make.File(fmt::format("{}/f{}", below, n), make.random().Below(3000), 0666);
      }
    }
  }
}

}  // namespace

Result<> MakeSampleTree(const std::string& dir, uint64_t seed) {
  Maker make(dir, seed);
  mode_t mask = umask(0);
  MakeSystem(make);
  MakeHomes(make);
  MakeShapes(make);
  make.SetTimes();
  umask(mask);
  return make.Take();
}

}  // namespace veneer::differential
