// What the entries of a layer become, whatever their order.
#include "store/tree/layer_tree_builder.h"

#include <dirent.h>
#include <gmock/gmock.h>

#include "store/tree/dump.h"
#include "tests/store/tree/tree_test_util.h"

namespace veneer::tree {
namespace {

class LayerTreeBuilderTest : public TreeTest {
 protected:
  static Ino InoOf(const LayerTree& tree, std::string_view path) {
    Ino at = kRootIno;
    while (!path.empty()) {
      std::string_view name = path.substr(0, path.find('/'));
      path.remove_prefix(std::min(path.size(), name.size() + 1));
      auto entry = Must(tree.Lookup(at, name));
      if (!entry) return kNoIno;
      at = entry->ino;
    }
    return at;
  }
  static Inode Get(const LayerTree& tree, std::string_view path) {
    return Must(tree.Get(InoOf(tree, path)));
  }
  static int CodeOf(const Result<>& r) { return r ? 0 : r.error().code(); }
};

TEST_F(LayerTreeBuilderTest, EmptyLayerIsAPlaceholderRoot) {
  auto tree = Layer([](auto&) {});
  EXPECT_EQ(tree->inode_count(), 1u);
  EXPECT_EQ(tree->name_count(), 0u);
  Inode root = Must(tree->Get(kRootIno));
  EXPECT_EQ(root.flags, kPlaceholder);
  EXPECT_EQ(root.attr.mode, S_IFDIR | 0755u);
  EXPECT_EQ(root.nlink, 2u);
  EXPECT_EQ(root.parent, kRootIno);
}

TEST_F(LayerTreeBuilderTest, KeepsEveryAttribute) {
  Attributes attr{.mode = S_IFREG | 06755,
                  .uid = 4000000000,
                  .gid = 3000000,
                  .size = uint64_t{1} << 40,
                  .mtime_sec = -12345,
                  .mtime_nsec = 999999999};
  std::vector<Xattr> xattrs = {{"user.b", std::string("\0\xff", 2)}, {"user.a", ""}};
  auto tree = Layer([&](auto& b) {
    Must(b.Add("f", attr, Object("x"), "", xattrs));
    Must(b.Add("dev", {.mode = S_IFBLK | 0600, .rdev_major = 259, .rdev_minor = 1000000}, {}, "",
               {}));
  });
  Inode f = Get(*tree, "f");
  EXPECT_EQ(f.attr.mode, attr.mode);
  EXPECT_EQ(f.attr.uid, attr.uid);
  EXPECT_EQ(f.attr.gid, attr.gid);
  EXPECT_EQ(f.attr.size, attr.size);
  EXPECT_EQ(f.attr.mtime_sec, attr.mtime_sec);
  EXPECT_EQ(f.attr.mtime_nsec, attr.mtime_nsec);
  EXPECT_EQ(f.object, Object("x"));
  EXPECT_EQ(f.nlink, 1u);
  auto got = Must(tree->Xattrs(f.ino));
  ASSERT_EQ(got.size(), 2u);
  EXPECT_EQ(got[0].name, "user.a");
  EXPECT_EQ(got[1].value, std::string("\0\xff", 2));
  Inode dev = Get(*tree, "dev");
  EXPECT_EQ(dev.attr.rdev_major, 259u);
  EXPECT_EQ(dev.attr.rdev_minor, 1000000u);
}

TEST_F(LayerTreeBuilderTest, NamesMayBeLongAndOfAnyBytes) {
  std::string longest(255, 'n');
  std::string bytes = "\xff\xfe \n\\\x01";
  auto tree = Layer([&](auto& b) {
    AddFile(b, longest);
    AddFile(b, bytes + "/" + longest);
  });
  EXPECT_NE(InoOf(*tree, longest), kNoIno);
  EXPECT_NE(InoOf(*tree, bytes + "/" + longest), kNoIno);
  EXPECT_THAT(DumpText(*tree), testing::HasSubstr("/\\xff\\xfe\\x20\\x0a\\x5c\\x01 040755"));
}

TEST_F(LayerTreeBuilderTest, RefusesPathsThatCannotBe) {
  auto b = Must(LayerTreeBuilder::Create(dir_.fd()));
  EXPECT_EQ(CodeOf(b->Add("a/../b", File(), {}, "", {})), EINVAL);
  EXPECT_EQ(CodeOf(b->Add(std::string_view("a\0b", 3), File(), {}, "", {})), EINVAL);
  EXPECT_EQ(CodeOf(b->Add(std::string(256, 'a'), File(), {}, "", {})), ENAMETOOLONG);
  EXPECT_EQ(CodeOf(b->Add(".", File(), {}, "", {})), EINVAL);
  EXPECT_EQ(CodeOf(b->Add("a", {.mode = 0644}, {}, "", {})), EINVAL);
  EXPECT_EQ(CodeOf(b->AddHardLink("a", "../b")), EINVAL);
  EXPECT_EQ(CodeOf(b->AddWhiteout("/")), EINVAL);
}

TEST_F(LayerTreeBuilderTest, PathsAreNormalized) {
  auto tree = Layer([](auto& b) {
    AddDir(b, "./", 0700);
    AddFile(b, "/a//./b");
    AddDir(b, "./c/.");
  });
  EXPECT_EQ(Must(tree->Get(kRootIno)).attr.mode, S_IFDIR | 0700u);
  EXPECT_NE(InoOf(*tree, "a/b"), kNoIno);
  EXPECT_EQ(Get(*tree, "c").flags, 0u);
  EXPECT_EQ(tree->name_count(), 3u);
}

TEST_F(LayerTreeBuilderTest, MissingParentsBecomePlaceholders) {
  auto tree = Layer([](auto& b) { AddFile(b, "a/b/c"); });
  EXPECT_EQ(Get(*tree, "a").flags, kPlaceholder);
  EXPECT_EQ(Get(*tree, "a/b").flags, kPlaceholder);
  EXPECT_EQ(Get(*tree, "a").nlink, 3u);
}

TEST_F(LayerTreeBuilderTest, LastEntryForANameWins) {
  auto tree = Layer([](auto& b) {
    AddFile(b, "f", 0600);
    AddFile(b, "f", 0640);
    AddDir(b, "d", 0700);
    AddFile(b, "d/kept");
    AddDir(b, "d", 0711);
  });
  EXPECT_EQ(Get(*tree, "f").attr.mode, S_IFREG | 0640u);
  EXPECT_EQ(Get(*tree, "d").attr.mode, S_IFDIR | 0711u);
  EXPECT_NE(InoOf(*tree, "d/kept"), kNoIno);
  EXPECT_EQ(tree->inode_count(), 4u);
}

TEST_F(LayerTreeBuilderTest, FileReplacesDirectoryWithAllBelowAndTheReverse) {
  auto tree = Layer([](auto& b) {
    AddFile(b, "d/x/y");
    AddFile(b, "d");
    AddFile(b, "e");
    AddFile(b, "e/now/dir");
    AddFile(b, "g/1");
    AddFile(b, "g");
    AddFile(b, "g/2");
  });
  EXPECT_EQ(Must(tree->Lookup(kRootIno, "d"))->type, DT_REG);
  EXPECT_NE(InoOf(*tree, "e/now/dir"), kNoIno);
  EXPECT_EQ(InoOf(*tree, "g/1"), kNoIno);
  EXPECT_NE(InoOf(*tree, "g/2"), kNoIno);
}

TEST_F(LayerTreeBuilderTest, FollowsSymlinksOfThisLayerInParents) {
  auto tree = Layer([](auto& b) {
    AddDir(b, "usr/bin");
    AddSymlink(b, "bin", "usr/bin");
    AddSymlink(b, "usr/up", "../../../usr/./bin/");
    AddSymlink(b, "abs", "/new/place");
    AddFile(b, "bin/sh");
    AddFile(b, "usr/up/ls");
    AddFile(b, "abs/f");
    Must(b.AddHardLink("bin/dash", "usr/up/sh"));
  });
  EXPECT_NE(InoOf(*tree, "usr/bin/sh"), kNoIno);
  EXPECT_NE(InoOf(*tree, "usr/bin/ls"), kNoIno);
  EXPECT_NE(InoOf(*tree, "new/place/f"), kNoIno);
  EXPECT_EQ(InoOf(*tree, "usr/bin/dash"), InoOf(*tree, "usr/bin/sh"));
  EXPECT_EQ(Must(tree->LinkTarget(InoOf(*tree, "bin"))), "usr/bin");
}

TEST_F(LayerTreeBuilderTest, SymlinkLoopIsEloop) {
  auto b = Must(LayerTreeBuilder::Create(dir_.fd()));
  AddSymlink(*b, "a", "b");
  AddSymlink(*b, "b", "a");
  EXPECT_EQ(CodeOf(b->Add("a/f", File(), {}, "", {})), ELOOP);
  EXPECT_EQ(CodeOf(b->AddHardLink("x", "a/f")), ELOOP);
}

TEST_F(LayerTreeBuilderTest, SymlinkReplacedByADirectoryIsNoLongerFollowed) {
  auto tree = Layer([](auto& b) {
    AddSymlink(b, "l", "d");
    AddFile(b, "l/1");
    AddDir(b, "l");
    AddFile(b, "l/2");
  });
  EXPECT_NE(InoOf(*tree, "d/1"), kNoIno);
  EXPECT_NE(InoOf(*tree, "l/2"), kNoIno);
  EXPECT_EQ(InoOf(*tree, "d/2"), kNoIno);
}

TEST_F(LayerTreeBuilderTest, HardLinksShareAnInodeThatKnowsItsNames) {
  auto tree = Layer([](auto& b) {
    AddFile(b, "d/a");
    Must(b.AddHardLink("b", "d/a"));
    Must(b.AddHardLink("b", "b"));
    Must(b.AddHardLink("d/c", "b"));
  });
  Inode a = Get(*tree, "d/a");
  EXPECT_EQ(a.nlink, 3u);
  EXPECT_EQ(a.ino, InoOf(*tree, "b"));
  auto names = Must(tree->Names(a.ino));
  ASSERT_EQ(names.size(), 3u);
  EXPECT_EQ(names[0].name, "b");
  EXPECT_EQ(names[1].name, "a");
  EXPECT_EQ(names[2].parent, InoOf(*tree, "d"));
  EXPECT_EQ(Must(tree->Names(InoOf(*tree, "d")))[0].name, "d");
  EXPECT_TRUE(Must(tree->Names(kRootIno)).empty());
}

TEST_F(LayerTreeBuilderTest, ReplacingOneNameLeavesTheOther) {
  auto tree = Layer([](auto& b) {
    AddFile(b, "a", 0600);
    Must(b.AddHardLink("b", "a"));
    AddFile(b, "a", 0644);
  });
  EXPECT_EQ(Get(*tree, "b").attr.mode, S_IFREG | 0600u);
  EXPECT_EQ(Get(*tree, "b").nlink, 1u);
  EXPECT_NE(InoOf(*tree, "a"), InoOf(*tree, "b"));
}

TEST_F(LayerTreeBuilderTest, HardLinkToAnotherPathIsExternal) {
  auto tree = Layer([](auto& b) {
    AddSymlink(b, "l", "d");
    Must(b.AddHardLink("new", "l//x/./old"));
    Must(b.AddHardLink("newer", "new"));
    Must(b.AddWhiteout("gone"));
    Must(b.AddHardLink("moved", "gone"));
  });
  Inode n = Get(*tree, "new");
  EXPECT_EQ(n.flags, kExternalLink);
  EXPECT_EQ(n.nlink, 2u);
  EXPECT_EQ(Must(tree->LinkTarget(n.ino)), "d/x/old");
  EXPECT_EQ(Must(tree->LinkTarget(InoOf(*tree, "moved"))), "gone");
}

TEST_F(LayerTreeBuilderTest, HardLinkToADirectoryIsRefused) {
  auto b = Must(LayerTreeBuilder::Create(dir_.fd()));
  AddDir(*b, "d");
  EXPECT_EQ(CodeOf(b->AddHardLink("x", "d")), EINVAL);
}

TEST_F(LayerTreeBuilderTest, WhiteoutsHideOnlyWhatIsBelow) {
  auto tree = Layer([](auto& b) {
    AddFile(b, "f");
    Must(b.AddWhiteout("f"));
    Must(b.AddWhiteout("gone"));
    Must(b.AddWhiteout("d"));
    AddFile(b, "d/new");
  });
  EXPECT_EQ(Must(tree->Lookup(kRootIno, "f"))->type, DT_REG);
  auto gone = Must(tree->Lookup(kRootIno, "gone"));
  EXPECT_EQ(gone->ino, kNoIno);
  EXPECT_EQ(gone->type, DT_WHT);
  // Deleted and made anew: nothing of the old directory shows through, its attributes neither.
  EXPECT_EQ(Get(*tree, "d").flags, kOpaque);
}

TEST_F(LayerTreeBuilderTest, OpaqueMarkerMakesAPlaceholderOpaque) {
  auto tree = Layer([](auto& b) {
    Must(b.SetOpaque("a/b"));
    Must(b.SetOpaque("c"));
    AddDir(b, "c", 0700);
  });
  EXPECT_EQ(Get(*tree, "a/b").flags, kOpaque | kPlaceholder);
  EXPECT_EQ(Get(*tree, "c").flags, static_cast<uint32_t>(kOpaque));
  EXPECT_EQ(Get(*tree, "c").attr.mode, S_IFDIR | 0700u);
}

TEST_F(LayerTreeBuilderTest, SameEntriesGiveTheSameBytesInAnyOrder) {
  auto one = [](LayerTreeBuilder& b) {
    AddDir(b, "d");
    AddFile(b, "d/b");
    AddFile(b, "a");
    Must(b.AddHardLink("d/link", "a"));
    AddSymlink(b, "s", "a");
  };
  auto other = [](LayerTreeBuilder& b) {
    AddSymlink(b, "s", "a");
    AddFile(b, "d/link", 0600);
    AddFile(b, "a");
    AddFile(b, "d/b");
    Must(b.AddHardLink("d/link", "a"));
    AddDir(b, "d");
  };
  EXPECT_EQ(LayerBytes(one), LayerBytes(other));
}

TEST_F(LayerTreeBuilderTest, NumbersInodesDepthFirstInNameOrder) {
  auto tree = Layer([](auto& b) {
    AddFile(b, "z");
    AddFile(b, "b/2");
    AddFile(b, "b/1");
    AddFile(b, "a");
  });
  EXPECT_EQ(InoOf(*tree, "a"), 2u);
  EXPECT_EQ(InoOf(*tree, "b"), 3u);
  EXPECT_EQ(InoOf(*tree, "b/1"), 4u);
  EXPECT_EQ(InoOf(*tree, "b/2"), 5u);
  EXPECT_EQ(InoOf(*tree, "z"), 6u);
  EXPECT_EQ(Must(tree->Get(6)).parent, kRootIno);
  EXPECT_FALSE(tree->Get(7));
  EXPECT_FALSE(tree->Get(0));
}

TEST_F(LayerTreeBuilderTest, ManyEntriesSpillAndComeBack) {
  constexpr int kCount = 70000;  // more than one sorter batch, more than one buffer of every spool
  auto tree = Layer([](auto& b) {
    for (int i = kCount; i-- > 0;) {
      std::string path = "d" + std::to_string(i % 100) + "/f" + std::to_string(i);
      Must(b.Add(path, File(i + 1), Object("x"), "", {{"user.n", std::to_string(i)}}));
    }
  });
  EXPECT_EQ(tree->inode_count(), kCount + 101u);
  for (int i : {0, 1, 4711, kCount - 1}) {
    std::string path = "d" + std::to_string(i % 100) + "/f" + std::to_string(i);
    Inode inode = Get(*tree, path);
    EXPECT_EQ(inode.attr.size, i + 1u);
    EXPECT_EQ(Must(tree->Xattrs(inode.ino))[0].value, std::to_string(i));
  }
  Must(tree->VerifyAll());
}

TEST_F(LayerTreeBuilderTest, VisitsEachObjectOfEachInodeOnce) {
  auto tree = Layer([](auto& b) {
    AddFile(b, "a");
    Must(b.AddHardLink("b", "a"));
    Must(b.Add("empty", File(0), Object(""), "", {}));
    AddSymlink(b, "s", "a");
  });
  std::vector<ObjectId> seen;
  Must(tree->ForEachObject([&](const ObjectId& id, uint64_t size) {
    EXPECT_EQ(size, 1u);
    seen.push_back(id);
  }));
  EXPECT_THAT(seen, testing::ElementsAre(Object("a")));
  EXPECT_TRUE(Get(*tree, "empty").object.digest.IsZero());
}

TEST_F(LayerTreeBuilderTest, DeepPathsDoNotExhaustTheStack) {
  std::string path;
  for (int i = 0; i < 20000; ++i) path += "d/";
  auto tree = Layer([&](auto& b) { AddFile(b, path + "f"); });
  EXPECT_EQ(tree->inode_count(), 20002u);
  int lines = 0;
  Must(Dump(*tree, [&](std::string_view) { ++lines; }));
  EXPECT_EQ(lines, 20002);
}

}  // namespace
}  // namespace veneer::tree
