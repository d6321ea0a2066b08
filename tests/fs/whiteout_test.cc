// Deleted names stay deleted, and what is made in their place shows nothing of the lower.
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/xattr.h>

#include <cstring>

#include "tests/fs/work_dir.h"

namespace veneer::fs::testing {
namespace {

class Whiteout : public OverEachKind {
 protected:
  void Populate(const std::string& dir) override {
    MakeDirs(dir + "/d/sub");
    WriteFile(dir + "/d/x", "x");
    WriteFile(dir + "/d/sub/y", "y");
    WriteFile(dir + "/f", "f");
    ASSERT_EQ(symlink("f", (dir + "/link").c_str()), 0);
  }
  void RemoveAll(const std::string& dir) {
    for (const std::string& name : ListDir(dir)) {
      std::string path = dir;
      path.append("/").append(name);
      if (S_ISDIR(Stat(path).st_mode)) {
        RemoveAll(path);
      } else {
        EXPECT_EQ(unlink(path.c_str()), 0) << path;
      }
    }
    EXPECT_EQ(rmdir(dir.c_str()), 0) << dir;
  }
};

TEST_P(Whiteout, RemovedNamesStayRemoved) {
  ASSERT_EQ(unlink(At("f").c_str()), 0);
  ASSERT_EQ(unlink(At("link").c_str()), 0);
  EXPECT_EQ(unlink(At("f").c_str()), -1);
  EXPECT_EQ(errno, ENOENT);
  work().Remount();
  EXPECT_EQ(ListDir(work().path()), std::vector<std::string>{"d"});
}

TEST_P(Whiteout, ModifiedThenRemovedFileStaysRemoved) {
  AppendFile(At("f"), "more");
  ASSERT_EQ(unlink(At("f").c_str()), 0);
  work().Remount();
  EXPECT_FALSE(Exists(At("f")));
}

TEST_P(Whiteout, NewDirectoryInPlaceOfRemovedOneIsEmpty) {
  RemoveAll(At("d"));
  ASSERT_EQ(mkdir(At("d").c_str(), 0700), 0);
  EXPECT_TRUE(ListDir(At("d")).empty());
  WriteFile(At("d/z"), "z");
  work().Remount();
  EXPECT_EQ(ListDir(At("d")), std::vector<std::string>{"z"});
  EXPECT_EQ(Stat(At("d")).st_mode & 07777, 0700u);
}

TEST_P(Whiteout, TypeMayChange) {
  RemoveAll(At("d"));
  WriteFile(At("d"), "now a file");
  ASSERT_EQ(unlink(At("f").c_str()), 0);
  ASSERT_EQ(mkdir(At("f").c_str(), 0755), 0);
  work().Remount();
  EXPECT_EQ(ReadFile(At("d")), "now a file");
  EXPECT_TRUE(S_ISDIR(Stat(At("f")).st_mode));
}

TEST_P(Whiteout, RmdirWantsAnEmptyDirectory) {
  EXPECT_EQ(rmdir(At("d").c_str()), -1);
  EXPECT_EQ(errno, ENOTEMPTY);
  EXPECT_EQ(rmdir(At("f").c_str()), -1);
  EXPECT_EQ(errno, ENOTDIR);
  EXPECT_EQ(unlink(At("d").c_str()), -1);
  EXPECT_EQ(errno, EISDIR);
}

TEST_P(Whiteout, ManyTimes) {
  for (int i = 0; i < 20; ++i) {
    ASSERT_EQ(unlink(At("f").c_str()), 0);
    ASSERT_FALSE(Exists(At("f")));
    WriteFile(At("f"), std::to_string(i));
    ASSERT_EQ(ReadFile(At("f")), std::to_string(i));
    RemoveAll(At("d"));
    ASSERT_EQ(mkdir(At("d").c_str(), 0755), 0);
    WriteFile(At("d/x"), "again");
  }
  work().Remount();
  EXPECT_EQ(ReadFile(At("f")), "19");
  EXPECT_EQ(ListDir(At("d")), std::vector<std::string>{"x"});
}

VENEER_OVER_EACH_KIND(Whiteout);

// Forms that other programs leave in plain lowers.
TEST(StackLower, ReadsOverlayAndAufsForms) {
  Scratch scratch;
  std::string bottom = scratch / "bottom";
  std::string top = scratch / "top";
  for (const char* name : {"/opq", "/aufs", "/plain"}) {
    MakeDirs(bottom + name);
    WriteFile(bottom + name + "/old", "old");
    MakeDirs(top + name);
    WriteFile(top + name + "/new", "new");
  }
  for (const char* name : {"/dev", "/wh", "/xwh", "/kept"}) WriteFile(bottom + name, name);
  ASSERT_EQ(mknod((top + "/dev").c_str(), S_IFCHR, 0), 0);
  WriteFile(top + "/.wh.wh", "");
  WriteFile(top + "/xwh", "");
  auto mark = [](const std::string& path, const char* name, const char* value) {
    ASSERT_EQ(setxattr(path.c_str(), name, value, strlen(value), 0), 0) << path;
  };
  mark(top + "/xwh", "user.overlay.whiteout", "y");
  mark(top, "user.overlay.opaque", "x");
  mark(top + "/opq", "trusted.overlay.opaque", "y");
  WriteFile(top + "/aufs/.wh..wh..opq", "");
  MakeDirs(bottom + "/from");
  WriteFile(bottom + "/from/inside", "inside");
  MakeDirs(top + "/to");
  mark(top + "/to", "trusted.overlay.redirect", "/from");
  MakeDirs(scratch / "m");
  RunResult run = RunVeneerfs({"-o", "lowerdir=" + top + ":" + bottom, scratch / "m"});
  ASSERT_EQ(run.status, 0) << run.error;
  std::string mnt = scratch / "m";
  EXPECT_EQ(ListDir(mnt), (std::vector<std::string>{"aufs", "from", "kept", "opq", "plain", "to"}));
  EXPECT_EQ(ListDir(mnt + "/opq"), std::vector<std::string>{"new"});
  EXPECT_EQ(ListDir(mnt + "/aufs"), std::vector<std::string>{"new"});
  EXPECT_EQ(ListDir(mnt + "/plain"), (std::vector<std::string>{"new", "old"}));
  EXPECT_EQ(ReadFile(mnt + "/to/inside"), "inside");
  for (const char* name : {"/dev", "/wh", "/xwh", "/.wh.wh", "/aufs/.wh..wh..opq"}) {
    EXPECT_FALSE(Exists(mnt + name)) << name;
  }
  EXPECT_EQ(open((mnt + "/kept").c_str(), O_WRONLY | O_CLOEXEC), -1);
  EXPECT_EQ(errno, EROFS);
  EXPECT_EQ(umount(mnt.c_str()), 0);
}

}  // namespace
}  // namespace veneer::fs::testing
