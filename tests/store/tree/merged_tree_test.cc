// MergedTree as its readers use it: looking up, listing, opening, and what a delta costs.
#include "store/tree/merged_tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <gmock/gmock.h>

#include "tests/store/tree/tree_test_util.h"

namespace veneer::tree {
namespace {

using MergedTreeTest = TreeTest;

std::vector<std::string> List(const MergedTree& tree, Ino dir, std::string_view after) {
  std::vector<std::string> names;
  Must(tree.ForEach(dir, after, [&](const DirEntry& e) {
    names.emplace_back(e.name);
    return true;
  }));
  return names;
}

void AddMany(LayerTreeBuilder& b, int count) {
  for (int i = 0; i < count; ++i) {
    AddFile(b, "fill/" + std::to_string(i / 100) + "/" + std::to_string(i));
  }
}

TEST_F(MergedTreeTest, EmptyTreeIsARoot) {
  auto tree = MergedTree::Empty();
  Inode root = Must(tree->Get(kRootIno));
  EXPECT_EQ(root.attr.mode, S_IFDIR | 0755u);
  EXPECT_EQ(root.nlink, 2u);
  EXPECT_EQ(root.parent, kRootIno);
  EXPECT_EQ(tree->ino_limit(), 2u);
  EXPECT_EQ(Must(tree->Lookup(kRootIno, "a")), std::nullopt);
  EXPECT_TRUE(List(*tree, kRootIno, "").empty());
  EXPECT_TRUE(Must(tree->Xattrs(kRootIno)).empty());
  EXPECT_TRUE(Must(tree->Names(kRootIno)).empty());
  EXPECT_EQ(tree->Get(2).error().code(), ENOENT);
}

TEST_F(MergedTreeTest, TellsUnknownFromWrongKind) {
  Layers layers;
  layers.push_back(Layer([](auto& b) { AddFile(b, "f"); }));
  auto tree = Base(layers);
  Ino f = *Must(tree->LookupPath("f"));
  EXPECT_EQ(tree->Get(99).error().code(), ENOENT);
  EXPECT_EQ(tree->Get(0).error().code(), ENOENT);
  EXPECT_EQ(tree->Lookup(99, "x").error().code(), ENOENT);
  EXPECT_EQ(tree->Lookup(f, "x").error().code(), ENOTDIR);
  EXPECT_EQ(tree->ForEach(f, "", [](auto&) { return true; }).error().code(), ENOTDIR);
  EXPECT_EQ(tree->LinkTarget(f).error().code(), EINVAL);
}

TEST_F(MergedTreeTest, LooksPathsUpWithoutFollowingSymlinks) {
  Layers layers;
  layers.push_back(Layer([](auto& b) {
    AddFile(b, "d/f");
    AddSymlink(b, "l", "d");
  }));
  auto tree = Base(layers);
  EXPECT_EQ(Must(tree->LookupPath("")), kRootIno);
  EXPECT_EQ(Must(tree->LookupPath("/")), kRootIno);
  EXPECT_NE(Must(tree->LookupPath("/d/./f")), std::nullopt);
  EXPECT_EQ(Must(tree->LookupPath("l/f")), std::nullopt);
  EXPECT_EQ(Must(tree->LookupPath("d/f/x")), std::nullopt);
  EXPECT_EQ(Must(tree->LookupPath("d/../d")), std::nullopt);
}

TEST_F(MergedTreeTest, ListsInByteOrderFromAfterAName) {
  Layers layers;
  layers.push_back(Layer([](auto& b) {
    AddMany(b, 300);
    for (const char* name : {"b", "a", "c", "\xff", "B"}) AddFile(b, std::string("d/") + name);
  }));
  layers.push_back(Layer([](auto& b) {
    AddFile(b, "d/bb");
    Must(b.AddWhiteout("d/c"));
  }));
  auto tree = Next(*Next(*MergedTree::Empty(), layers, 1), layers, 2);
  ASSERT_EQ(tree->delta_count(), 1);
  Ino d = *Must(tree->LookupPath("d"));
  using testing::ElementsAre;
  EXPECT_THAT(List(*tree, d, ""), ElementsAre("B", "a", "b", "bb", "\xff"));
  EXPECT_THAT(List(*tree, d, "a"), ElementsAre("b", "bb", "\xff"));
  EXPECT_THAT(List(*tree, d, "aa"), ElementsAre("b", "bb", "\xff"));
  EXPECT_THAT(List(*tree, d, "c"), ElementsAre("\xff"));
  EXPECT_THAT(List(*tree, d, "\xff"), ElementsAre());
  int seen = 0;
  Must(tree->ForEach(d, "", [&](auto&) { return ++seen < 2; }));
  EXPECT_EQ(seen, 2);
}

TEST_F(MergedTreeTest, SmallChangeToALargeTreeWritesLittle) {
  Layers layers;
  layers.push_back(Layer([](auto& b) { AddMany(b, 20000); }));
  layers.push_back(Layer([](auto& b) {
    for (int i = 0; i < 10; ++i) AddFile(b, "fill/" + std::to_string(i * 20) + "/new");
  }));
  auto parent = Next(*MergedTree::Empty(), layers, 1);
  auto tree = Next(*parent, layers, 2);
  EXPECT_EQ(tree->delta_count(), 1);
  EXPECT_LT(FileSize(Chain(2).Hex()), 6u << 10);
  EXPECT_EQ(tree->name_count(), parent->name_count() + 10);
  EXPECT_THAT(tree->file_names(), testing::ElementsAre(Chain(2).Hex(), Chain(1).Hex()));
}

TEST_F(MergedTreeTest, FoldsAfterTheLastDelta) {
  Layers layers;
  layers.push_back(Layer([](auto& b) { AddMany(b, 2000); }));
  for (int i = 0; i < kMaxDeltas + 2; ++i) {
    layers.push_back(Layer([i](auto& b) { AddFile(b, "fill/new" + std::to_string(i)); }));
  }
  auto tree = Next(*MergedTree::Empty(), layers, 1);
  for (int n = 2; n <= kMaxDeltas + 1; ++n) {
    tree = Next(*tree, layers, n);
    EXPECT_EQ(tree->delta_count(), n - 1);
  }
  tree = Next(*tree, layers, kMaxDeltas + 2);
  EXPECT_EQ(tree->delta_count(), 0);
  EXPECT_EQ(DumpText(*tree), DumpText(*Base(layers, kMaxDeltas + 2)));
  tree = Next(*tree, layers, kMaxDeltas + 3);
  EXPECT_EQ(tree->delta_count(), 1);
  EXPECT_EQ(DumpText(*tree), DumpText(*Base(layers)));
}

TEST_F(MergedTreeTest, FoldsALargeChange) {
  Layers layers;
  layers.push_back(Layer([](auto& b) { AddMany(b, 100); }));
  layers.push_back(Layer([](auto& b) {
    for (int i = 0; i < 100; ++i) AddFile(b, "more/" + std::to_string(i));
  }));
  auto tree = Next(*Next(*MergedTree::Empty(), layers, 1), layers, 2);
  EXPECT_EQ(tree->delta_count(), 0);
}

TEST_F(MergedTreeTest, FoldedTreeIsTheBuiltOneByteForByte) {
  Layers layers;
  layers.push_back(Layer([](auto& b) {
    AddFile(b, "d/a");
    Must(b.AddHardLink("b", "d/a"));
    Must(b.Add("x", File(), {}, "", {{"user.x", "y"}}));
  }));
  layers.push_back(Layer([](auto& b) {
    Must(b.AddHardLink("e/c", "b"));
    Must(b.AddWhiteout("d"));
  }));
  auto folded = Next(*Next(*MergedTree::Empty(), layers, 1), layers, 2);
  ASSERT_EQ(folded->delta_count(), 0);
  auto built = Base(layers);
  std::string name = Chain(2).Hex();
  EXPECT_EQ(Must(ReadFileAt(dir_.fd(), name, 1 << 20)),
            Must(ReadFileAt(dir_.fd(), "bases/" + name, 1 << 20)));
}

TEST_F(MergedTreeTest, OpenNeedsEveryFileOfTheChain) {
  Layers layers;
  layers.push_back(Layer([](auto& b) { AddMany(b, 500); }));
  layers.push_back(Layer([](auto& b) { AddFile(b, "f"); }));
  Next(*Next(*MergedTree::Empty(), layers, 1), layers, 2);
  std::string base = Chain(1).Hex();
  std::string delta = Chain(2).Hex();
  ASSERT_EQ(::renameat(dir_.fd(), base.c_str(), dir_.fd(), "away"), 0);
  EXPECT_EQ(MergedTree::Open(dir_.fd(), delta).error().code(), ENOENT);
  EXPECT_EQ(MergedTree::Open(dir_.fd(), "nothing").error().code(), ENOENT);
  // Another chain's tree under the base's name.
  Base(layers, 2);
  ASSERT_EQ(::renameat(dir_.fd(), ("bases/" + delta).c_str(), dir_.fd(), base.c_str()), 0);
  EXPECT_EQ(MergedTree::Open(dir_.fd(), delta).error().code(), EBADMSG);
}

TEST_F(MergedTreeTest, DeltaWorksOnARebuiltParent) {
  Layers layers;
  layers.push_back(Layer([](auto& b) { AddMany(b, 1000); }));
  layers.push_back(Layer([](auto& b) { Must(b.AddWhiteout("fill/3")); }));
  layers.push_back(Layer([](auto& b) { AddFile(b, "fill/4/new"); }));
  auto tree = Next(*Next(*Next(*MergedTree::Empty(), layers, 1), layers, 2), layers, 3);
  ASSERT_EQ(tree->delta_count(), 2);
  std::string before = DumpText(*tree);
  // The middle tree was lost, and rebuilt as a base.
  Base(layers, 2);
  std::string middle = Chain(2).Hex();
  ASSERT_EQ(::renameat(dir_.fd(), ("bases/" + middle).c_str(), dir_.fd(), middle.c_str()), 0);
  tree = Must(MergedTree::Open(dir_.fd(), Chain(3).Hex()));
  EXPECT_EQ(tree->delta_count(), 1);
  EXPECT_EQ(DumpText(*tree), before);
}

TEST_F(MergedTreeTest, LayerTreeIsNoChainTree) {
  std::string bytes = LayerBytes([](auto& b) { AddFile(b, "f"); });
  UniqueFd fd = Must(OpenAt(dir_.fd(), "layer", O_CREAT | O_RDWR, 0600));
  Must(PwriteAll(fd.get(), bytes, 0));
  EXPECT_EQ(MergedTree::Open(dir_.fd(), "layer").error().code(), EBADMSG);
}

}  // namespace
}  // namespace veneer::tree
