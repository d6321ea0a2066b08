// Where COPY reads from: directories of the host and chains.
#include "tools/build/copy/source_tree.h"

#include "tests/build/copy_fixture.h"
#include "tools/build/copy/source_match.h"

namespace veneer::build::test {
namespace {

using veneer::test::Must;

class Sources : public CopyTest {
 protected:
  std::unique_ptr<SourceTree> Open() {
    return Must(OpenDirectorySource(context_, ignore_ ? &*ignore_ : nullptr));
  }
};

TEST_F(Sources, NamesAreSortedByTheirBytes) {
  for (const char* name : {"b", "a.b", "a", "a-b", "\xc3\xa9", "B"}) File(name);
  EXPECT_THAT(Must(Open()->List("")), ElementsAre("B", "a", "a-b", "a.b", "b", "\xc3\xa9"));
}

TEST_F(Sources, AnEntrySaysWhatItIs) {
  File("d/f", "four", 0640);
  Link("d/l", "target");
  const auto tree = Open();
  const SourceEntry file = Must(tree->Stat("d/f"));
  EXPECT_EQ(file.attr.mode, S_IFREG | 0640u);
  EXPECT_EQ(file.attr.size, 4u);
  EXPECT_EQ(file.attr.mtime_sec, 1000);
  EXPECT_EQ(file.links, 1u);
  EXPECT_TRUE(file.object.digest.IsZero());
  const SourceEntry link = Must(tree->Stat("d/l"));
  EXPECT_EQ(link.link_target, "target");
  EXPECT_EQ(link.attr.size, 6u);
  EXPECT_TRUE(S_ISDIR(Must(tree->Stat("")).attr.mode));
  EXPECT_EQ(tree->Stat("d/none").error().code(), ENOENT);
  EXPECT_EQ(tree->Stat("d/f/x").error().code(), ENOENT);
}

TEST_F(Sources, NoSymlinkIsFollowedUnasked) {
  File("d/f");
  Link("l", "d");
  const auto tree = Open();
  EXPECT_EQ(tree->Stat("l/f").error().code(), ENOENT);
  EXPECT_FALSE(tree->Open("l/f"));
  EXPECT_FALSE(tree->List("l"));
  EXPECT_EQ(tree->Stat("../context/d/f").error().code(), ENOENT);
  EXPECT_EQ(tree->Stat("..").error().code(), ENOENT);
}

TEST_F(Sources, OnlyRegularFilesAreOpened) {
  Folder("d");
  ASSERT_EQ(mkfifo((context_ + "/pipe").c_str(), 0600), 0);
  const auto tree = Open();
  EXPECT_FALSE(tree->Open("d"));
  EXPECT_FALSE(tree->Open("pipe"));
  EXPECT_FALSE(tree->Open(""));
}

TEST_F(Sources, DeepAndManyDirectoriesAreFoundAgain) {
  std::string path;
  for (int i = 0; i < 40; ++i) {
    path += (i == 0 ? "d" : "/d") + std::to_string(i);
    File(path + "/f", std::to_string(i));
  }
  const auto tree = Open();
  std::string again;
  for (int round = 0; round < 2; ++round) {
    again.clear();
    for (int i = 0; i < 40; ++i) {
      again += (i == 0 ? "d" : "/d") + std::to_string(i);
      const UniqueFd fd = Must(tree->Open(again + "/f"));
      char text[4] = {};
      ASSERT_TRUE(ReadUpTo(fd.get(), text, 3));
      EXPECT_EQ(std::to_string(i), text);
    }
  }
}

TEST_F(Sources, LinksAreFollowedInsideTheTree) {
  File("a/b/f");
  Link("a/up", "../a/b");
  Link("a/abs", "/a/b");
  Link("out", "../../../a");
  Link("two", "a/up/f");
  const auto tree = Open();
  EXPECT_EQ(Must(FollowLinks(*tree, "a/up/f")), "a/b/f");
  EXPECT_EQ(Must(FollowLinks(*tree, "a/abs/f")), "a/b/f");
  EXPECT_EQ(Must(FollowLinks(*tree, "out/b")), "a/b");
  EXPECT_EQ(Must(FollowLinks(*tree, "two")), "a/b/f");
  EXPECT_EQ(Must(FollowLinks(*tree, "a/up/..")), "a");
  EXPECT_EQ(Must(FollowLinks(*tree, "")), "");
  EXPECT_EQ(FollowLinks(*tree, "a/b/none").error().code(), ENOENT);
}

TEST_F(Sources, AnIgnoredDirectoryIsThereIfAnExceptionIs) {
  File("d/in/keep");
  File("d/in/drop");
  File("e/in/drop");
  Ignore({"d", "e", "!**/keep"});
  const auto tree = Open();
  EXPECT_THAT(Must(tree->List("")), ElementsAre("d"));
  EXPECT_THAT(Must(tree->List("d/in")), ElementsAre("keep"));
  EXPECT_TRUE(tree->Stat("d"));
  EXPECT_FALSE(tree->Stat("e"));
  EXPECT_FALSE(tree->Open("d/in/drop"));
  EXPECT_TRUE(tree->Open("d/in/keep"));
}

TEST_F(Sources, AChainKnowsItsContents) {
  const Chain chain = MakeChain({{{"d/"}, {"d/f", "one", 0640, 3, 4}, {"d/empty"}},
                                 {{"d/g", "two"}, {.path = "d/same", .hard_link = "d/g"}}});
  const auto tree = OpenChainSource(store(), chain);
  EXPECT_THAT(Must(tree->List("d")), ElementsAre("empty", "f", "g", "same"));
  const SourceEntry file = Must(tree->Stat("d/f"));
  EXPECT_EQ(file.object, ObjectOf("one"));
  EXPECT_EQ(file.attr.uid, 3u);
  EXPECT_EQ(Must(tree->Stat("d/g")).inode, Must(tree->Stat("d/same")).inode);
  EXPECT_EQ(Must(tree->Stat("d/g")).links, 2u);
  char text[4] = {};
  EXPECT_EQ(Must(ReadUpTo(Must(tree->Open("d/g")).get(), text, sizeof text)), 3u);
  EXPECT_EQ(Must(ReadUpTo(Must(tree->Open("d/empty")).get(), text, sizeof text)), 0u);
  EXPECT_EQ(tree->Stat("d/f/x").error().code(), ENOENT);
  EXPECT_EQ(tree->Stat("none").error().code(), ENOENT);
}

}  // namespace
}  // namespace veneer::build::test
