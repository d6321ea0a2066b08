// Deleted names stay deleted, and what is made in their place shows nothing of the lower.
#include <fcntl.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "tests/conformance/conformance.h"

namespace veneer::fs::conformance {
namespace {

using testing::MakeDirs;
using testing::WriteFile;
using Names = std::vector<std::string>;

class Whiteout : public Conformance {
 protected:
  void Populate(const std::string& dir) override {
    MakeDirs(dir + "/d/sub");
    WriteFile(dir + "/d/x", "x");
    WriteFile(dir + "/d/sub/y", "y");
    WriteFile(dir + "/f", "f");
    ASSERT_EQ(symlink("f", (dir + "/link").c_str()), 0);
  }
};

TEST_P(Whiteout, RemovedNamesStayRemoved) {
  ASSERT_EQ(Code(fs().Unlink("f")), 0);
  ASSERT_EQ(Code(fs().Unlink("link")), 0);
  EXPECT_EQ(Code(fs().Unlink("f")), ENOENT);
  Remount();
  EXPECT_EQ(List(""), Names{"d"});
}

TEST_P(Whiteout, ModifiedThenRemovedFileStaysRemoved) {
  Append("f", "more");
  ASSERT_EQ(Code(fs().Unlink("f")), 0);
  Remount();
  EXPECT_FALSE(Exists("f"));
}

TEST_P(Whiteout, NewDirectoryInPlaceOfRemovedOneIsEmpty) {
  RemoveAll("d");
  ASSERT_EQ(Code(fs().MakeDir("d", 0700)), 0);
  EXPECT_TRUE(List("d").empty());
  Write("d/z", "z");
  Remount();
  EXPECT_EQ(List("d"), Names{"z"});
  EXPECT_EQ(Mode("d"), 0700u);
}

TEST_P(Whiteout, TypeMayChange) {
  RemoveAll("d");
  Write("d", "now a file");
  ASSERT_EQ(Code(fs().Unlink("f")), 0);
  ASSERT_EQ(Code(fs().MakeDir("f")), 0);
  ASSERT_EQ(Code(fs().Unlink("link")), 0);
  ASSERT_EQ(Code(fs().MakeSymlink("elsewhere", "link")), 0);
  Remount();
  EXPECT_EQ(Read("d"), "now a file");
  EXPECT_TRUE(S_ISDIR(Stat("f").st_mode));
  EXPECT_EQ(*fs().ReadLink("link"), "elsewhere");
}

TEST_P(Whiteout, RmdirWantsAnEmptyDirectory) {
  EXPECT_EQ(Code(fs().RemoveDir("d")), ENOTEMPTY);
  EXPECT_EQ(Code(fs().RemoveDir("f")), ENOTDIR);
  EXPECT_EQ(Code(fs().Unlink("d")), EISDIR);
  EXPECT_EQ(Code(fs().RemoveDir("missing")), ENOENT);
}

TEST_P(Whiteout, ManyTimes) {
  for (int i = 0; i < 20; ++i) {
    ASSERT_EQ(Code(fs().Unlink("f")), 0);
    ASSERT_FALSE(Exists("f"));
    Write("f", std::to_string(i));
    ASSERT_EQ(Read("f"), std::to_string(i));
    RemoveAll("d");
    ASSERT_EQ(Code(fs().MakeDir("d")), 0);
    Write("d/x", "again");
  }
  Remount();
  EXPECT_EQ(Read("f"), "19");
  EXPECT_EQ(List("d"), Names{"x"});
}

TEST_P(Whiteout, OwnerAndModeOfWhatIsMadeInPlaceAreItsOwn) {
  ASSERT_EQ(Code(fs().Chmod("", 0777)), 0);
  ASSERT_EQ(Code(fs().Unlink("f")), 0);
  fs().Become({.uid = 1000, .gid = 1001, .umask = 027});
  Write("f", "mine", 0666);
  fs().Become({.uid = 0, .gid = 0, .umask = 022});
  Remount();
  struct stat st = Stat("f");
  EXPECT_EQ(st.st_uid, 1000u);
  EXPECT_EQ(st.st_gid, 1001u);
  EXPECT_EQ(st.st_mode & 07777, 0640u);
}

TEST_P(Whiteout, NamesAndDevicesOfTheFormatAreRefused) {
  int expected = Differs(Difference::kNamesOfTheFormat) ? EPERM : 0;
  EXPECT_EQ(Code(fs().MakeNode("w", S_IFCHR | 0600, makedev(0, 0))), expected);
  EXPECT_EQ(Code(fs().MakeDir(".wh.x")), expected);
  EXPECT_EQ(Code(fs().Open(".wh.y", O_CREAT | O_WRONLY)), expected);
  EXPECT_EQ(Code(fs().MakeSymlink("f", ".wh.z")), expected);
  EXPECT_EQ(Code(fs().Link("f", ".wh.l")), expected);
  EXPECT_EQ(Code(fs().Rename("f", ".wh..wh..opq")), expected);
  // Others of their kind are ordinary.
  EXPECT_EQ(Code(fs().MakeNode("b", S_IFBLK | 0600, makedev(0, 0))), 0);
  EXPECT_EQ(Code(fs().MakeDir(".wh")), 0);
  EXPECT_EQ(Code(fs().MakeDir("a.wh.x")), 0);
  Remount();
  EXPECT_TRUE(S_ISBLK(Stat("b").st_mode));
  EXPECT_TRUE(Exists("a.wh.x"));
}

VENEER_CONFORMANCE(Whiteout);

// What two layers have, removed and made again.
class WhiteoutMerged : public Conformance {
 protected:
  std::vector<Fill> Layers() override {
    return {[](const std::string& dir) {
              MakeDirs(dir + "/d");
              WriteFile(dir + "/d/low", "low");
              WriteFile(dir + "/f", "low");
            },
            [](const std::string& dir) {
              MakeDirs(dir + "/d");
              WriteFile(dir + "/d/high", "high");
              WriteFile(dir + "/f", "high");
            }};
  }
};

TEST_P(WhiteoutMerged, HidesEveryLayer) {
  EXPECT_EQ(List("d"), (Names{"high", "low"}));
  EXPECT_EQ(Read("f"), "high");
  ASSERT_EQ(Code(fs().Unlink("f")), 0);
  EXPECT_FALSE(Exists("f"));
  RemoveAll("d");
  ASSERT_EQ(Code(fs().MakeDir("d")), 0);
  Remount();
  EXPECT_TRUE(List("d").empty());
  EXPECT_EQ(List(""), Names{"d"});
}

VENEER_CONFORMANCE(WhiteoutMerged);

}  // namespace
}  // namespace veneer::fs::conformance
