// Hard links of the lower stay links: over writes, removals, renames and remounts.
#include <fcntl.h>
#include <unistd.h>

#include "tests/conformance/conformance.h"

namespace veneer::fs::conformance {
namespace {

using testing::MakeDirs;
using testing::WriteFile;

constexpr const char* kAllNames[] = {"d1/a", "d1/b", "d2/c", "d2/sub/e"};

class HardLink : public Conformance {
 protected:
  void Populate(const std::string& dir) override {
    MakeDirs(dir + "/d1");
    MakeDirs(dir + "/d2/sub");
    WriteFile(dir + "/d1/a", "content");
    for (const char* name : {"/d1/b", "/d2/c", "/d2/sub/e"}) {
      ASSERT_EQ(link((dir + "/d1/a").c_str(), (dir + name).c_str()), 0);
    }
  }
  void ExpectAll(const std::string& content, ino_t ino, nlink_t links) {
    for (const char* name : kAllNames) {
      EXPECT_EQ(Read(name), content) << name;
      EXPECT_EQ(Stat(name).st_ino, ino) << name;
      EXPECT_EQ(Stat(name).st_nlink, links) << name;
    }
  }
};

TEST_P(HardLink, AllNamesShowOneFile) { ExpectAll("content", Stat("d1/a").st_ino, 4); }

TEST_P(HardLink, WritingOneNameChangesAll) {
  ino_t ino = Stat("d1/a").st_ino;
  Append("d2/c", "+more");
  ExpectAll("content+more", ino, 4);
  Remount();
  ExpectAll("content+more", ino, 4);
}

TEST_P(HardLink, TruncatingOneNameChangesAll) {
  ino_t ino = Stat("d1/a").st_ino;
  ASSERT_EQ(Code(fs().Truncate("d2/sub/e", 3)), 0);
  ExpectAll("con", ino, 4);
  Remount();
  ExpectAll("con", ino, 4);
}

TEST_P(HardLink, RemovingNamesCountsDown) {
  ASSERT_EQ(Code(fs().Unlink("d1/b")), 0);
  EXPECT_EQ(Stat("d1/a").st_nlink, 3u);
  Append("d1/a", "!");
  ASSERT_EQ(Code(fs().Unlink("d1/a")), 0);
  EXPECT_EQ(Stat("d2/c").st_nlink, 2u);
  EXPECT_EQ(Read("d2/sub/e"), "content!");
  Remount();
  EXPECT_EQ(Stat("d2/c").st_nlink, 2u);
  EXPECT_EQ(Read("d2/c"), "content!");
  ASSERT_EQ(Code(fs().Unlink("d2/c")), 0);
  EXPECT_EQ(Stat("d2/sub/e").st_nlink, 1u);
  ASSERT_EQ(Code(fs().Unlink("d2/sub/e")), 0);
  EXPECT_TRUE(List("d1").empty());
  if (oracle()) return;
  for (const char* index : {"/links", "/index"}) {
    std::string dir = work().work() + index;
    if (testing::Exists(dir)) {
      EXPECT_TRUE(testing::ListDir(dir).empty()) << index;
    }
  }
}

TEST_P(HardLink, RemovedNameDoesNotComeBackWithTheOthers) {
  FilePtr reader = Open("d1/b", O_RDONLY);
  ASSERT_EQ(Code(fs().Unlink("d1/b")), 0);
  EXPECT_EQ(reader->Stat()->st_nlink, 3u);
  Append("d1/a", "+");
  EXPECT_EQ(Read(*reader), "content+");
  EXPECT_FALSE(Exists("d1/b"));
  Write("d1/b", "another");
  EXPECT_EQ(Read(*reader), "content+");
  EXPECT_EQ(Stat("d1/b").st_nlink, 1u);
}

TEST_P(HardLink, NewNamesJoin) {
  ASSERT_EQ(Code(fs().Link("d2/c", "new")), 0);
  EXPECT_EQ(Stat("d1/a").st_nlink, 5u);
  Write("new", "by new");
  EXPECT_EQ(Read("d1/b"), "by new");
  Remount();
  EXPECT_EQ(Stat("new").st_nlink, 5u);
  EXPECT_EQ(Read("d2/sub/e"), "by new");
}

TEST_P(HardLink, NamesInMovedDirectoriesAreFound) {
  ASSERT_EQ(Code(fs().Rename("d2", "moved")), 0);
  ASSERT_EQ(Code(fs().Rename("moved/sub", "d1/sub")), 0);
  Remount();
  Append("d1/a", "+");
  EXPECT_EQ(Read("moved/c"), "content+");
  EXPECT_EQ(Read("d1/sub/e"), "content+");
  EXPECT_EQ(Stat("d1/sub/e").st_nlink, 4u);
}

TEST_P(HardLink, NamesInRemovedDirectoriesAreNotBroughtBack) {
  ASSERT_EQ(Code(fs().Unlink("d2/sub/e")), 0);
  ASSERT_EQ(Code(fs().RemoveDir("d2/sub")), 0);
  EXPECT_EQ(Stat("d1/a").st_nlink, 3u);
  Append("d1/a", "+");
  EXPECT_FALSE(Exists("d2/sub"));
  EXPECT_EQ(Read("d2/c"), "content+");
}

TEST_P(HardLink, RenamedNameStaysALink) {
  ASSERT_EQ(Code(fs().Rename("d1/a", "d2/z")), 0);
  EXPECT_EQ(Stat("d2/z").st_ino, Stat("d1/b").st_ino);
  EXPECT_EQ(Stat("d2/z").st_nlink, 4u);
  ASSERT_EQ(Code(fs().Rename("d2/z", "d2/c")), 0);  // same file: nothing happens
  EXPECT_TRUE(Exists("d2/z"));
  Write("other", "other");
  ASSERT_EQ(Code(fs().Rename("other", "d2/c")), 0);
  EXPECT_EQ(Stat("d2/z").st_nlink, 3u);
  Remount();
  EXPECT_EQ(Stat("d2/z").st_nlink, 3u);
  EXPECT_EQ(Read("d1/b"), "content");
  EXPECT_EQ(Read("d2/c"), "other");
  EXPECT_FALSE(Exists("d1/a"));
}

TEST_P(HardLink, ChmodReachesAllNames) {
  ASSERT_EQ(Code(fs().Chmod("d1/b", 0400)), 0);
  EXPECT_EQ(Mode("d2/sub/e"), 0400u);
  Remount();
  EXPECT_EQ(Mode("d2/sub/e"), 0400u);
  EXPECT_EQ(Read("d2/sub/e"), "content");
}

TEST_P(HardLink, ReplacedNameLeavesTheOthers) {
  Write("x", "x");
  ASSERT_EQ(Code(fs().Rename("x", "d1/a")), 0);
  EXPECT_EQ(Stat("d1/b").st_nlink, 3u);
  EXPECT_EQ(Read("d1/b"), "content");
}

TEST_P(HardLink, OfSymlinksAndFifosToo) {
  ASSERT_EQ(Code(fs().MakeSymlink("target", "s")), 0);
  ASSERT_EQ(Code(fs().Link("s", "d1/s")), 0);
  EXPECT_EQ(*fs().ReadLink("d1/s"), "target");
  EXPECT_EQ(Stat("s").st_nlink, 2u);
  ASSERT_EQ(Code(fs().MakeNode("p", S_IFIFO | 0644)), 0);
  ASSERT_EQ(Code(fs().Link("p", "d1/p")), 0);
  Remount();
  EXPECT_EQ(Stat("p").st_ino, Stat("d1/p").st_ino);
  EXPECT_EQ(Stat("s").st_ino, Stat("d1/s").st_ino);
}

TEST_P(HardLink, ErrorsAreThoseOfPosix) {
  EXPECT_EQ(Code(fs().Link("d1", "x")), EPERM);
  EXPECT_EQ(Code(fs().Link("d1/a", "d2/c")), EEXIST);
  EXPECT_EQ(Code(fs().Link("missing", "x")), ENOENT);
  EXPECT_EQ(Code(fs().Link("d1/a", "missing/x")), ENOENT);
}

VENEER_CONFORMANCE(HardLink);

}  // namespace
}  // namespace veneer::fs::conformance
