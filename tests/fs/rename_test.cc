// Renames that fail, and renames on hosts that do not help. What they are to do when all goes well
// is in tests/conformance.
#include <fcntl.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "fs/control.h"
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

// The usual way to save: nothing of the old file is copied to be thrown away.
TEST(RenameWithoutHelp, ANewFileReplacesALowerOneWithoutCopyingIt) {
  WorkDir outer({.kind = Kind::kStack, .populate = [](const std::string&) {}});
  Scratch scratch;
  std::string m = scratch / "m";
  for (const std::string& dir : {scratch / "lower", outer / "upper", outer / "work", m}) {
    MakeDirs(dir);
  }
  WriteFile(scratch / "lower/f", std::string(1 << 20, 'f'));
  RunResult run =
      RunVeneerfs({"-o",
                   "lowerdir=" + (scratch / "lower") + ",upperdir=" + (outer / "upper") +
                       ",workdir=" + (outer / "work"),
                   m});
  ASSERT_EQ(run.status, 0) << run.error;
  WriteFile(m + "/tmp", "new");
  EXPECT_EQ(rename((m + "/tmp").c_str(), (m + "/f").c_str()), 0);
  EXPECT_EQ(ReadFile(m + "/f"), "new");
  control::Stats stats = {};
  {
    UniqueFd root = OpenFile(m, O_RDONLY | O_DIRECTORY);
    EXPECT_EQ(ioctl(root.get(), control::kStats, &stats), 0);
  }
  EXPECT_EQ(stats.bytes_copied, 0u);
  ASSERT_EQ(umount(m.c_str()), 0);
  for (int n = 0; n < 400 && Exists(outer / "work/lock"); ++n) usleep(5000);
}

// Killed in the middle, each file has one name, and is no other's.
TEST(RenameWithoutHelp, KilledHalfWayKeepsFilesApart) {
  WorkDir outer({.kind = Kind::kStack, .populate = [](const std::string&) {}});
  Scratch scratch;
  std::string lower = scratch / "lower";
  for (const char* dir : {"/d/sub", "/empty"}) MakeDirs(lower + dir);
  for (const char* file : {"/from", "/to", "/h1", "/d/file"}) WriteFile(lower + file, file);
  ASSERT_EQ(link((lower + "/h1").c_str(), (lower + "/h2").c_str()), 0);
  std::string m = scratch / "m";
  MakeDirs(m);
  struct Move {
    std::string from, to;
    std::function<void()> before;
  };
  const std::vector<Move> moves = {
      {"/from", "/new", [] {}},
      {"/from", "/to", [] {}},
      {"/from", "/to", [&] { AppendFile(m + "/to", "+"); }},
      {"/from", "/to", [&] { ASSERT_EQ(unlink((m + "/to").c_str()), 0); }},
      {"/from", "/h1", [] {}},
      {"/h1", "/to", [] {}},
      {"/d", "/empty", [] {}},
      {"/d", "/new", [] {}},
  };
  for (size_t i = 0; i < moves.size(); ++i) {
    const Move& move = moves[i];
    SCOPED_TRACE(std::to_string(i) + ": " + move.from + " to " + move.to);
    std::string number = std::to_string(i);
    MakeDirs(outer / ("upper" + number));
    MakeDirs(outer / ("work" + number));
    std::string options = "lowerdir=" + lower + ",upperdir=" + (outer / ("upper" + number)) +
                          ",workdir=" + (outer / ("work" + number));
    auto mounted = [&](const std::string& faults = "") {
      RunResult run = RunVeneerfs({"-o", options, m}, faults);
      ASSERT_EQ(run.status, 0) << run.error;
    };
    mounted("rename.half_done=kill");
    move.before();
    EXPECT_NE(rename((m + move.from).c_str(), (m + move.to).c_str()), 0) << "nothing was killed";
    umount2(m.c_str(), MNT_DETACH);
    mounted();
    std::map<ino_t, std::vector<std::string>> names;
    for (const std::string& name : ListDir(m)) names[Stat(m + "/" + name).st_ino].push_back(name);
    for (const auto& [ino, same] : names) {
      EXPECT_EQ(same.size(), Stat(m + "/" + same.front()).st_nlink > 1 &&
                                     !S_ISDIR(Stat(m + "/" + same.front()).st_mode)
                                 ? 2u
                                 : 1u)
          << same.front();
    }
    if (S_ISREG(Stat(lower + move.from).st_mode)) {
      // What is written to one is not seen in another.
      ASSERT_TRUE(Exists(m + move.from) || Exists(m + move.to));
      std::string written = Exists(m + move.from) ? move.from : move.to;
      std::string other = written == move.from ? move.to : move.from;
      std::string before = Exists(m + other) ? ReadFile(m + other) : "";
      AppendFile(m + written, "written");
      for (int round = 0; round < 2; ++round) {
        EXPECT_TRUE(ReadFile(m + written).ends_with("written"));
        if (Exists(m + other)) {
          EXPECT_EQ(ReadFile(m + other), before);
        }
        ASSERT_EQ(umount(m.c_str()), 0);
        if (round == 0) mounted();
      }
    } else {
      EXPECT_EQ(TreeText(m + (Exists(m + move.from + "/file") ? move.from : move.to)),
                TreeText(lower + move.from));
      ASSERT_EQ(umount(m.c_str()), 0);
    }
    std::string lock = outer / ("work" + number + "/lock");
    for (int n = 0; n < 400 && Exists(lock); ++n) usleep(5000);
  }
}

}  // namespace
}  // namespace veneer::fs::testing
