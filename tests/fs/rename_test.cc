// Renames that fail, and renames on hosts that do not help. What they are to do when all goes well
// is in tests/conformance.
#include <fcntl.h>
#include <stdio.h>
#include <sys/mount.h>
#include <unistd.h>

#include "tests/fs/work_dir.h"

namespace veneer::fs::testing {
namespace {

class Rename : public OverEachKind {
 protected:
  void Populate(const std::string& dir) override {
    MakeDirs(dir + "/d/sub/deep");
    MakeDirs(dir + "/empty");
    MakeDirs(dir + "/full");
    WriteFile(dir + "/f", "lower f");
    WriteFile(dir + "/g", "lower g");
    WriteFile(dir + "/d/file", "in d");
    WriteFile(dir + "/d/sub/deep/leaf", "leaf");
    WriteFile(dir + "/full/x", "x");
  }
  int Move(const std::string& from, const std::string& to, unsigned flags = 0) {
    return renameat2(AT_FDCWD, At(from).c_str(), AT_FDCWD, At(to).c_str(), flags) == 0 ? 0 : errno;
  }
};

TEST_P(Rename, FailedOneLeavesTheEmptyTargetAsItWas) {
  ASSERT_EQ(unlink(At("full/x").c_str()), 0);
  work().Unmount();
  work().Mount("rename.before=error:EIO");
  EXPECT_EQ(Move("empty", "full"), EIO);
  EXPECT_TRUE(ListDir(At("full")).empty());
  WriteFile(At("full/y"), "y");
  EXPECT_EQ(Stat(At("full")).st_nlink, 2u);
  work().Remount();
  EXPECT_EQ(ListDir(At("full")), std::vector<std::string>{"y"});
  ASSERT_EQ(unlink(At("full/y").c_str()), 0);
  EXPECT_EQ(Move("d", "full"), 0);
}

VENEER_OVER_MOUNTS(Rename);

// An upper that knows neither whiteout devices nor RENAME_WHITEOUT: another mount's.
TEST(RenameWithoutHelp, LeavesWhiteouts) {
  WorkDir outer({.kind = Kind::kStack,
                 .populate = [](const std::string&) {},
                 .options = "",
                 .arguments = {},
                 .read_only = false});
  Scratch scratch;
  std::string lower = scratch / "lower";
  for (const char* dir : {"/d/sub", "/empty", "/e2", "/other"}) MakeDirs(lower + dir);
  for (const char* file : {"/f1", "/f2", "/f3", "/f4", "/f5", "/t1", "/t2", "/e2/x", "/d/file"}) {
    WriteFile(lower + file, file);
  }
  MakeDirs(outer / "upper");
  MakeDirs(outer / "work");
  MakeDirs(scratch / "m");
  std::string m = scratch / "m";
  std::string options =
      "lowerdir=" + lower + ",upperdir=" + (outer / "upper") + ",workdir=" + (outer / "work");
  auto mounted = [&](const std::string& faults = "") {
    RunResult run = RunVeneerfs({"-o", options, m}, faults);
    ASSERT_EQ(run.status, 0) << run.error;
  };
  auto move = [&](const std::string& from, const std::string& to) {
    return rename((m + from).c_str(), (m + to).c_str()) == 0 ? 0 : errno;
  };
  mounted();
  EXPECT_EQ(move("/f1", "/new"), 0);  // to nothing
  EXPECT_EQ(move("/f2", "/t1"), 0);   // over a file of the lower
  AppendFile(m + "/t2", "+");
  EXPECT_EQ(move("/f3", "/t2"), 0);  // over a file of the upper
  EXPECT_EQ(unlink((m + "/f4").c_str()), 0);
  EXPECT_EQ(move("/f5", "/f4"), 0);  // over a whiteout
  EXPECT_EQ(unlink((m + "/e2/x").c_str()), 0);
  EXPECT_EQ(move("/d", "/e2"), 0);  // over a directory of the upper, with a whiteout
  EXPECT_EQ(move("/e2/sub", "/other/sub"), 0);
  EXPECT_TRUE(S_ISREG(Stat(outer / "upper/f1").st_mode)) << "a whiteout in the form of a file";
  for (int round = 0; round < 2; ++round) {
    EXPECT_EQ(ListDir(m),
              (std::vector<std::string>{"e2", "empty", "f4", "new", "other", "t1", "t2"}));
    EXPECT_EQ(ReadFile(m + "/new"), "/f1");
    EXPECT_EQ(ReadFile(m + "/t1"), "/f2");
    EXPECT_EQ(ReadFile(m + "/t2"), "/f3");
    EXPECT_EQ(ReadFile(m + "/f4"), "/f5");
    EXPECT_EQ(ListDir(m + "/e2"), std::vector<std::string>{"file"});
    EXPECT_EQ(ListDir(m + "/other"), std::vector<std::string>{"sub"});
    ASSERT_EQ(umount(m.c_str()), 0);
    for (int i = 0; i < 400 && Exists(outer / "work/lock"); ++i) usleep(5000);
    if (round == 0) mounted();
  }
}

}  // namespace
}  // namespace veneer::fs::testing
