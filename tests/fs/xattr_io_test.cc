// Attributes and modes by each way to a file, on kernels that know the newest calls and on those
// that do not: the calls are taken away with a seccomp filter, in a process of its own.
#include "fs/xattr_io.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <iostream>
#include <string>
#include <vector>

#include "store/base/beneath.h"
#include "tests/fs/without_calls.h"

namespace veneer::fs::testing {
namespace {

constexpr long kFchmodat2 = 452;
constexpr long kGetxattrat = 464;
const std::vector<long> kNewCalls = {kFchmodat2, 463, kGetxattrat, 465, 466};
const std::vector<long> kPathCalls = {SYS_getxattr,    SYS_lgetxattr,    SYS_setxattr,
                                      SYS_lsetxattr,   SYS_listxattr,    SYS_llistxattr,
                                      SYS_removexattr, SYS_lremovexattr,
#ifdef SYS_chmod
                                      SYS_chmod,
#endif
                                      SYS_fchmodat};

bool KernelHas(long number) { return syscall(number, -1, "", 0, 0, 0, 0) == -1 && errno != ENOSYS; }

class XattrIo : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = std::filesystem::temp_directory_path() / "veneer-xattr-XXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    path_ = name;
    auto dir = OpenAt(AT_FDCWD, path_, O_PATH | O_DIRECTORY);
    ASSERT_TRUE(dir);
    dir_ = std::move(*dir);
    ASSERT_TRUE(OpenAt(dir_.get(), "file", O_WRONLY | O_CREAT, 0644));
    ASSERT_EQ(mkdirat(dir_.get(), "folder", 0755), 0);
    ASSERT_EQ(symlinkat("file", dir_.get(), "link"), 0);
    ASSERT_EQ(mknodat(dir_.get(), "pipe", S_IFIFO | 0644, 0), 0);
  }
  void TearDown() override { std::filesystem::remove_all(path_); }

  UniqueFd Open(const std::string& name, int flags) {
    auto fd = OpenAt(dir_.get(), name, flags | O_NOFOLLOW);
    EXPECT_TRUE(fd) << name;
    return fd ? std::move(*fd) : UniqueFd();
  }

  // What is written of `file` is there to be read, and only there.
  bool TakesAttributes(const FileAt& file) {
    const std::string name = "trusted.veneer.test";
    const std::string large(3000, 'v');
    auto has = [&] {
      auto names = ListXattr(file);
      return names && std::ranges::find(*names, name) != names->end();
    };
    auto none = GetXattr(file, name);
    bool good = !none && none.error().code() == ENODATA && !has();
    auto absent = SetXattr(file, name, "x", XATTR_REPLACE);
    good = good && !absent && absent.error().code() == ENODATA;
    good = good && SetXattr(file, name, "small") && GetXattr(file, name).value_or("") == "small";
    good = good && SetXattr(file, name, large) && GetXattr(file, name).value_or("") == large;
    auto twice = SetXattr(file, name, "x", XATTR_CREATE);
    good = good && !twice && twice.error().code() == EEXIST && has();
    good = good && RemoveXattr(file, name) && !has();
    auto gone = RemoveXattr(file, name);
    return good && !gone && gone.error().code() == ENODATA;
  }

  // By a descriptor of either kind, and by name.
  bool AllWays() {
    bool good = true;
    auto check = [&](const FileAt& file, const std::string& what) {
      if (TakesAttributes(file)) return;
      std::cerr << what << "\n";
      good = false;
    };
    for (const char* name : {"file", "folder", "link", "pipe"}) {
      UniqueFd any = Open(name, O_PATH);
      check(FileAt(any.get()), std::string(name) + ", O_PATH");
      check(FileAt(dir_.get(), name), std::string(name) + ", by name");
    }
    for (const char* name : {"file", "folder"}) {
      UniqueFd ordinary = Open(name, O_RDONLY);
      check(FileAt(ordinary.get()), std::string(name) + ", O_RDONLY");
    }
    check(FileAt(dir_.get(), ""), "the directory itself");
    return good;
  }

  mode_t ModeOf(const char* name) {
    struct stat st = {};
    return fstatat(dir_.get(), name, &st, AT_SYMLINK_NOFOLLOW) == 0 ? st.st_mode & 07777 : 0;
  }
  bool SetsModes() {
    UniqueFd any = Open("file", O_PATH);
    UniqueFd pipe = Open("pipe", O_PATH);
    UniqueFd ordinary = Open("folder", O_RDONLY);
    return SetMode(any.get(), 04711) && ModeOf("file") == 04711 && SetMode(pipe.get(), 0600) &&
           ModeOf("pipe") == 0600 && SetMode(ordinary.get(), 01700) && ModeOf("folder") == 01700;
  }

  std::string path_;
  UniqueFd dir_;
};

TEST_F(XattrIo, EveryWayToAFileWorks) { EXPECT_TRUE(AllWays()); }

TEST_F(XattrIo, KernelsWithoutTheNewCallsTakeTheOldWay) {
  EXPECT_TRUE(WithoutCalls(kNewCalls, ENOSYS, [&] { return AllWays() && AllWays(); }));
  EXPECT_TRUE(WithoutCalls(kNewCalls, ENOSYS, [&] { return SetsModes() && SetsModes(); }));
}

TEST_F(XattrIo, FiltersThatForbidTheNewCallsDoNotMatter) {
  EXPECT_TRUE(WithoutCalls(kNewCalls, EPERM, [&] { return AllWays(); }));
  EXPECT_TRUE(WithoutCalls(kNewCalls, EPERM, [&] { return SetsModes(); }));
}

TEST_F(XattrIo, OrdinaryDescriptorsNeedNoPath) {
  UniqueFd file = Open("file", O_RDONLY);
  UniqueFd folder = Open("folder", O_RDONLY);
  EXPECT_TRUE(WithoutCalls(kPathCalls, EIO, [&] {
    return TakesAttributes(FileAt(file.get())) && TakesAttributes(FileAt(folder.get())) &&
           SetMode(file.get(), 0600) && ModeOf("file") == 0600;
  }));
  std::vector<long> calls = kPathCalls;
  calls.insert(calls.end(), kNewCalls.begin(), kNewCalls.end());
  EXPECT_TRUE(WithoutCalls(calls, ENOSYS, [&] {
    return TakesAttributes(FileAt(file.get())) && SetMode(file.get(), 0640) &&
           ModeOf("file") == 0640;
  }));
}

TEST_F(XattrIo, NamesNeedNoPathWhereTheKernelTakesThem) {
  if (!KernelHas(kGetxattrat) || !KernelHas(kFchmodat2)) GTEST_SKIP() << "an older kernel";
  UniqueFd file = Open("file", O_PATH);
  EXPECT_TRUE(WithoutCalls(kPathCalls, EIO, [&] {
    return TakesAttributes(FileAt(dir_.get(), "file")) &&
           TakesAttributes(FileAt(dir_.get(), "link")) && SetMode(file.get(), 0600) &&
           ModeOf("file") == 0600;
  }));
}

TEST_F(XattrIo, RefusalsAreTheFilesystems) {
  UniqueFd link = Open("link", O_PATH);
  for (const FileAt& file : {FileAt(dir_.get(), "link"), FileAt(link.get())}) {
    auto set = SetXattr(file, "user.x", "y");  // no symlink takes these
    ASSERT_FALSE(set);
    EXPECT_EQ(set.error().code(), EPERM);
  }
  auto mode = SetMode(link.get(), 0600);
  ASSERT_FALSE(mode);
  EXPECT_EQ(mode.error().code(), EOPNOTSUPP);
  EXPECT_EQ(ModeOf("file"), 0644u);
  auto closed = SetMode(-1, 0600);
  ASSERT_FALSE(closed);
}

}  // namespace
}  // namespace veneer::fs::testing
