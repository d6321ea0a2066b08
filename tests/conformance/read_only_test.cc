// Mounts without an upper: everything is read as it is, and nothing can be changed.
#include <fcntl.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "tests/conformance/conformance.h"

namespace veneer::fs::conformance {
namespace {

using testing::MakeDirs;
using testing::WriteFile;

void PopulateBottom(const std::string& dir) {
  MakeDirs(dir + "/d");
  WriteFile(dir + "/d/low", "low");
  WriteFile(dir + "/f", "hidden");
  ASSERT_EQ(symlink("f", (dir + "/s").c_str()), 0);
}

void PopulateTop(const std::string& dir) {
  MakeDirs(dir + "/d");
  WriteFile(dir + "/d/high", std::string(20000, 'h'));
  WriteFile(dir + "/f", "shown");
  ASSERT_EQ(link((dir + "/f").c_str(), (dir + "/g").c_str()), 0);
  ASSERT_EQ(setxattr((dir + "/f").c_str(), "user.x", "y", 1, 0), 0);
}

class ReadOnlyMount : public Conformance {
 protected:
  std::vector<Fill> Layers() override { return {PopulateBottom, PopulateTop}; }
  bool ReadOnly() const override { return true; }
};

TEST_P(ReadOnlyMount, ShowsEverything) {
  for (int round = 0; round < 2; ++round) {
    EXPECT_EQ(List(""), (std::vector<std::string>{"d", "f", "g", "s"}));
    EXPECT_EQ(List("d"), (std::vector<std::string>{"high", "low"}));
    EXPECT_EQ(Read("f"), "shown");
    EXPECT_EQ(Read("d/low"), "low");
    EXPECT_EQ(*fs().ReadLink("s"), "f");
    EXPECT_EQ(Xattr("f", "user.x"), "y");
    EXPECT_EQ(Stat("f").st_ino, Stat("g").st_ino);
    EXPECT_EQ(Stat("g").st_nlink, 2u);
    EXPECT_EQ(Code(fs().Stat("missing")), ENOENT);
    FilePtr file = Open("d/high", O_RDONLY);
    EXPECT_EQ(file->Seek(0, SEEK_HOLE).value_or(0), 20000u);
    EXPECT_EQ(Code(file->Sync(false)), 0);
    file.reset();
    Remount();
  }
}

TEST_P(ReadOnlyMount, RefusesEveryChange) {
  EXPECT_EQ(Code(fs().Open("f", O_RDWR)), EROFS);
  EXPECT_EQ(Code(fs().Open("f", O_WRONLY | O_TRUNC)), EROFS);
  EXPECT_EQ(Code(fs().Open("new", O_WRONLY | O_CREAT)), EROFS);
  EXPECT_EQ(Code(fs().TmpFile("")), EROFS);
  EXPECT_EQ(Code(fs().MakeDir("new")), EROFS);
  EXPECT_EQ(Code(fs().MakeNode("new", S_IFIFO | 0600)), EROFS);
  EXPECT_EQ(Code(fs().MakeSymlink("x", "new")), EROFS);
  EXPECT_EQ(Code(fs().Link("f", "new")), EROFS);
  EXPECT_EQ(Code(fs().Unlink("f")), EROFS);
  EXPECT_EQ(Code(fs().RemoveDir("d")), EROFS);
  EXPECT_EQ(Code(fs().Rename("f", "new")), EROFS);
  EXPECT_EQ(Code(fs().Chmod("f", 0600)), EROFS);
  EXPECT_EQ(Code(fs().Chown("f", 1, 1)), EROFS);
  EXPECT_EQ(Code(fs().Truncate("f", 0)), EROFS);
  EXPECT_EQ(Code(fs().SetTimes("f", {1, 0}, {1, 0})), EROFS);
  EXPECT_EQ(Code(fs().SetXattr("f", "user.x", "z")), EROFS);
  EXPECT_EQ(Code(fs().RemoveXattr("f", "user.x")), EROFS);
  EXPECT_EQ(Read("f"), "shown");
}

VENEER_CONFORMANCE(ReadOnlyMount);

}  // namespace
}  // namespace veneer::fs::conformance
