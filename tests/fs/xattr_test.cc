// Extended attributes: kept over copy-up, markers hidden, look-alikes escaped, symlinks never
// followed.
#include <fcntl.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "tests/fs/work_dir.h"

namespace veneer::fs::testing {
namespace {

class Xattrs : public OverEachKind {
 protected:
  void Populate(const std::string& dir) override {
    WriteFile(dir + "/f", "lower");
    MakeDirs(dir + "/d");
    ASSERT_EQ(symlink("f", (dir + "/s").c_str()), 0);
    Set(dir + "/f", "user.kept", "1");
    Set(dir + "/d", "trusted.kept", "2");
  }
  static void Set(const std::string& path, const char* name, const std::string& value) {
    ASSERT_EQ(lsetxattr(path.c_str(), name, value.data(), value.size(), 0), 0) << path << name;
  }
  static std::string List(const std::string& path) {
    std::string list(65536, '\0');
    ssize_t n = llistxattr(path.c_str(), list.data(), list.size());
    list.resize(n < 0 ? 0 : static_cast<size_t>(n));
    for (char& c : list) c = c == '\0' ? ' ' : c;
    return list;
  }
};

// What only CAP_SYS_ADMIN may read is not listed to others.
TEST_P(Xattrs, TrustedNamesAreForRoot) {
  ASSERT_EQ(chmod(work().scratch().c_str(), 0755), 0);
  EXPECT_EQ(List(At("d")), "trusted.kept ");
  pid_t child = fork();
  if (child == 0) {
    if (setresuid(99, 99, 99) != 0) _exit(1);
    _exit(List(At("f")) == "user.kept " && List(At("d")).empty() ? 0 : 2);
  }
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST_P(Xattrs, SurviveCopyUpAndRemount) {
  AppendFile(At("f"), "x");
  Set(At("f"), "user.new", "n");
  WriteFile(At("d/x"), "");
  for (int round = 0; round < 2; ++round) {
    EXPECT_EQ(Xattr(At("f"), "user.kept"), "1");
    EXPECT_EQ(Xattr(At("f"), "user.new"), "n");
    EXPECT_EQ(Xattr(At("d"), "trusted.kept"), "2");
    EXPECT_EQ(List(At("d")), "trusted.kept ");
    work().Remount();
  }
  ASSERT_EQ(removexattr(At("f").c_str(), "user.kept"), 0);
  EXPECT_EQ(removexattr(At("f").c_str(), "user.kept"), -1);
  EXPECT_EQ(errno, ENODATA);
  work().Remount();
  EXPECT_EQ(List(At("f")), "user.new ");
}

TEST_P(Xattrs, LookAlikesOfMarkersAreOrdinary) {
  for (const char* name : {"trusted.overlay.opaque", "user.overlay.whiteout",
                           "user.fuseoverlayfs.opaque", "trusted.overlay.overlay.x"}) {
    ASSERT_EQ(getxattr(At("d").c_str(), name, nullptr, 0), -1) << name;
    EXPECT_EQ(errno, ENODATA);
    Set(At("d"), name, "y");
    EXPECT_EQ(Xattr(At("d"), name), "y") << name;
  }
  WriteFile(At("d/x"), "x");
  work().Remount();
  EXPECT_EQ(Xattr(At("d"), "trusted.overlay.opaque"), "y");
  EXPECT_EQ(Xattr(At("d"), "trusted.overlay.overlay.x"), "y");
  EXPECT_EQ(ReadFile(At("d/x")), "x");
}

// fuse-overlayfs 1.10 follows the link into its own mount and hangs.
TEST_P(Xattrs, OfSymlinksAreTheirOwn) {
  Set(At("s"), "trusted.x", "link");
  EXPECT_EQ(Xattr(At("s"), "trusted.x"), "link");
  EXPECT_EQ(Xattr(At("f"), "trusted.x"), "");
  EXPECT_EQ(lsetxattr(At("s").c_str(), "user.x", "y", 1, 0), -1);
  EXPECT_EQ(errno, EPERM);
  work().Remount();
  EXPECT_EQ(Xattr(At("s"), "trusted.x"), "link");
}

TEST_P(Xattrs, FlagsAndSizes) {
  EXPECT_EQ(setxattr(At("f").c_str(), "user.kept", "z", 1, XATTR_CREATE), -1);
  EXPECT_EQ(errno, EEXIST);
  EXPECT_EQ(setxattr(At("f").c_str(), "user.none", "z", 1, XATTR_REPLACE), -1);
  EXPECT_EQ(errno, ENODATA);
  char one = 0;
  Set(At("f"), "user.long", std::string(1000, 'v'));
  EXPECT_EQ(getxattr(At("f").c_str(), "user.long", &one, 1), -1);
  EXPECT_EQ(errno, ERANGE);
  EXPECT_EQ(getxattr(At("f").c_str(), "user.long", nullptr, 0), 1000);
}

VENEER_OVER_EACH_KIND(Xattrs);

}  // namespace
}  // namespace veneer::fs::testing
