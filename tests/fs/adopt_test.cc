// Uppers that other programs wrote: what was deleted there stays deleted, and their signs do not
// show.
#include <sys/mount.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cstdlib>

#include "tests/fs/work_dir.h"

namespace veneer::fs::testing {
namespace {

using Names = std::vector<std::string>;

class ForeignUpper : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const char* dir :
         {"lower/d/sub", "lower/remade", "lower/moved/in", "upper", "work", "m"}) {
      MakeDirs(scratch_ / dir);
    }
    for (const char* name :
         {"gone", "kept", "d/a", "d/b", "remade/old", "moved/in/x", "replaced"}) {
      WriteFile(scratch_ / ("lower/" + std::string(name)), name);
    }
  }
  void TearDown() override { Unmount(); }
  void Mount() {
    RunResult run =
        RunVeneerfs({"-o",
                     "lowerdir=" + (scratch_ / "lower") + ",upperdir=" + (scratch_ / "upper") +
                         ",workdir=" + (scratch_ / "work"),
                     scratch_ / "m"});
    ASSERT_EQ(run.status, 0) << run.error;
  }
  void Unmount() {
    umount2((scratch_ / "m").c_str(), MNT_DETACH);
    for (int i = 0; i < 1000 && Exists(scratch_ / "work/lock"); ++i) usleep(5000);
  }
  void Mark(const std::string& name, const std::string& xattr, const std::string& value) {
    ASSERT_EQ(setxattr((scratch_ / ("upper/" + name)).c_str(), xattr.c_str(), value.data(),
                       value.size(), 0),
              0);
  }
  Names List(const std::string& name) { return ListDir(scratch_ / ("m/" + name)); }
  Scratch scratch_;
};

TEST_F(ForeignUpper, AufsNames) {
  for (const char* dir : {"d", "remade"}) MakeDirs(scratch_ / ("upper/" + std::string(dir)));
  for (const char* name : {".wh.gone", "d/.wh..wh..opq", "d/new", ".wh.remade", "remade/new",
                           ".wh.replaced", ".wh.never-was"}) {
    WriteFile(scratch_ / ("upper/" + std::string(name)), "");
  }
  WriteFile(scratch_ / "upper/replaced", "new");
  timespec times[2] = {{5, 0}, {6, 0}};
  ASSERT_EQ(utimensat(AT_FDCWD, (scratch_ / "upper/d").c_str(), times, 0), 0);
  Mount();
  for (int round = 0; round < 2; ++round) {
    EXPECT_EQ(List(""), (Names{"d", "kept", "moved", "remade", "replaced"}));
    EXPECT_EQ(List("d"), Names{"new"});
    EXPECT_EQ(List("remade"), Names{"new"});
    EXPECT_EQ(ReadFile(scratch_ / "m/replaced"), "new");
    EXPECT_FALSE(Exists(scratch_ / "m/gone"));
    EXPECT_FALSE(Exists(scratch_ / "m/.wh.gone"));
    EXPECT_EQ(Stat(scratch_ / "m/d").st_mtim.tv_sec, 6);
    Unmount();
    Mount();
  }
}

TEST_F(ForeignUpper, MarkersWithOtherPrefixes) {
  for (const char* dir : {"d", "remade", "elsewhere"}) {
    MakeDirs(scratch_ / ("upper/" + std::string(dir)));
  }
  Mark("d", "user.overlay.opaque", "y");
  Mark("remade", "user.fuseoverlayfs.opaque", "y");
  Mark("elsewhere", "user.overlay.redirect", "/moved");
  for (const char* name : {"gone", "moved"}) {
    WriteFile(scratch_ / ("upper/" + std::string(name)), "");
    Mark(name, "user.overlay.whiteout", "y");
  }
  Mount();
  EXPECT_EQ(List(""), (Names{"d", "elsewhere", "kept", "remade", "replaced"}));
  EXPECT_EQ(List("d"), Names{});
  EXPECT_EQ(List("remade"), Names{});
  EXPECT_EQ(List("elsewhere/in"), Names{"x"});
  EXPECT_EQ(rmdir((scratch_ / "m/d").c_str()), 0);
}

// The real thing.
TEST_F(ForeignUpper, OfFuseOverlayfs) {
  std::string command = "fuse-overlayfs -o lowerdir=" + (scratch_ / "lower") +
                        ",upperdir=" + (scratch_ / "upper") + ",workdir=" + (scratch_ / "work") +
                        " " + (scratch_ / "m") + " 2>/dev/null";
  ASSERT_EQ(std::system(command.c_str()), 0);
  command = "cd '" + (scratch_ / "m") +
            "' && rm gone && rm -r d remade && mkdir d && echo new >d/new && echo more >>kept && "
            "ln kept linked && mv replaced d/";
  EXPECT_EQ(std::system(command.c_str()), 0);
  // It has yet to hear of some times from the kernel.
  std::string before = TreeText(scratch_ / "m", false);
  ASSERT_EQ(umount((scratch_ / "m").c_str()), 0);
  Mount();
  EXPECT_EQ(List(""), (Names{"d", "kept", "linked", "moved"}));
  EXPECT_EQ(List("d"), (Names{"new", "replaced"}));
  EXPECT_EQ(TreeText(scratch_ / "m", false), before);
}

}  // namespace
}  // namespace veneer::fs::testing
