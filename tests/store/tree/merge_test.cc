// What layers on top of each other look like: each rule on a base built from all, and again layer
// by layer.
#include <dirent.h>
#include <gmock/gmock.h>

#include "store/tree/dump.h"
#include "tests/store/tree/tree_test_util.h"

namespace veneer::tree {
namespace {

class MergeTest : public TreeTest {
 protected:
  // The tree of the layers; checks that building it layer by layer gives the same.
  std::unique_ptr<MergedTree> Merge(std::vector<Fill> fills) {
    // Large enough for small changes to stay deltas.
    Fill first = fills[0];
    fills[0] = [first](LayerTreeBuilder& b) {
      for (int i = 0; i < 300; ++i) AddFile(b, ".fill/" + std::to_string(i));
      first(b);
    };
    for (const Fill& fill : fills) layers_.push_back(Layer(fill));
    auto base = Base(layers_);
    auto next = Next(*MergedTree::Empty(), layers_, 1);
    for (size_t n = 2; n <= layers_.size(); ++n) {
      next = Next(*next, layers_, n);
      EXPECT_EQ(next->delta_count(), static_cast<int>(n - 1));
    }
    EXPECT_EQ(DumpText(*base), DumpText(*next));
    EXPECT_EQ(base->name_count(), next->name_count());
    EXPECT_EQ(base->ino_limit(), next->ino_limit());
    return next;
  }
  static std::string Names(const MergedTree& tree) {
    std::string text = Paths(tree);
    size_t end = 0;
    while (text.compare(end, 5, ".fill") == 0) end = text.find('\n', end) + 1;
    return text.substr(end);
  }
  static Ino InoOf(const MergedTree& tree, std::string_view path) {
    return Must(tree.LookupPath(path)).value_or(kNoIno);
  }
  static Inode Get(const MergedTree& tree, std::string_view path) {
    return Must(tree.Get(InoOf(tree, path)));
  }
  std::string ErrorOf(const std::vector<Fill>& fills) {
    for (const Fill& fill : fills) layers_.push_back(Layer(fill));
    auto base = TryBase(layers_);
    auto next = TryNext(*Base(layers_, layers_.size() - 1), layers_, layers_.size());
    EXPECT_FALSE(base);
    EXPECT_FALSE(next);
    if (base || next) return "";
    EXPECT_EQ(base.error().code(), EBADMSG);
    EXPECT_EQ(base.error().Message(), next.error().Message());
    return base.error().Message();
  }
  Layers layers_;
};

TEST_F(MergeTest, UpperFileReplacesLower) {
  auto tree =
      Merge({[](auto& b) { AddFile(b, "f", 0600); }, [](auto& b) { AddFile(b, "f", 0644); }});
  EXPECT_EQ(Get(*tree, "f").attr.mode, S_IFREG | 0644u);
  EXPECT_EQ(Names(*tree), "f\n");
}

TEST_F(MergeTest, DirectoriesMergeAndKeepTheLowestNumber) {
  auto tree = Merge({[](auto& b) {
                       AddDir(b, "d", 0700);
                       AddFile(b, "d/low");
                     },
                     [](auto& b) {
                       AddDir(b, "d", 0711);
                       AddFile(b, "d/high");
                       AddDir(b, "e");
                     }});
  EXPECT_EQ(Names(*tree), "d/\nd/high\nd/low\ne/\n");
  EXPECT_EQ(Get(*tree, "d").attr.mode, S_IFDIR | 0711u);
  auto lower = Base(layers_, 1);
  EXPECT_EQ(InoOf(*tree, "d"), InoOf(*lower, "d"));
  EXPECT_EQ(InoOf(*tree, "d/low"), InoOf(*lower, "d/low"));
  EXPECT_GE(InoOf(*tree, "e"), lower->ino_limit());
  EXPECT_EQ(Get(*tree, "").nlink, 5u);
}

TEST_F(MergeTest, PlaceholderKeepsAttributesBelow) {
  auto tree = Merge({[](auto& b) {
                       AddDir(b, "", 0555);
                       Must(b.Add("d", Dir(0700), {}, "", {{"user.x", "1"}}));
                     },
                     [](auto& b) { AddFile(b, "d/f"); }, [](auto& b) { AddFile(b, "n/f"); }});
  EXPECT_EQ(Get(*tree, "d").attr.mode, S_IFDIR | 0700u);
  EXPECT_EQ(Must(tree->Xattrs(InoOf(*tree, "d"))).size(), 1u);
  EXPECT_EQ(Get(*tree, "").attr.mode, S_IFDIR | 0555u);
  EXPECT_EQ(Get(*tree, "n").attr.mode, S_IFDIR | 0755u);
  EXPECT_EQ(Get(*tree, "n").attr.mtime_sec, 0);
}

TEST_F(MergeTest, DescribedDirectoryBringsItsOwnXattrs) {
  auto tree = Merge({[](auto& b) { Must(b.Add("d", Dir(), {}, "", {{"user.x", "1"}})); },
                     [](auto& b) { AddDir(b, "d"); }});
  EXPECT_TRUE(Must(tree->Xattrs(InoOf(*tree, "d"))).empty());
}

TEST_F(MergeTest, WhiteoutHidesLowerName) {
  auto tree = Merge({[](auto& b) {
                       AddFile(b, "f");
                       AddFile(b, "d/x/y");
                       AddFile(b, "kept");
                     },
                     [](auto& b) {
                       Must(b.AddWhiteout("f"));
                       Must(b.AddWhiteout("d"));
                       Must(b.AddWhiteout("never"));
                     }});
  EXPECT_EQ(Names(*tree), "kept\n");
  EXPECT_EQ(InoOf(*tree, "d/x"), kNoIno);
}

TEST_F(MergeTest, NameComesBackAboveAWhiteout) {
  auto tree =
      Merge({[](auto& b) { AddFile(b, "d/old"); }, [](auto& b) { Must(b.AddWhiteout("d")); },
             [](auto& b) { AddFile(b, "d/new"); }});
  EXPECT_EQ(Names(*tree), "d/\nd/new\n");
  EXPECT_GE(InoOf(*tree, "d"), Base(layers_, 2)->ino_limit());
}

TEST_F(MergeTest, OpaqueDirectoryHidesAllBelow) {
  auto tree = Merge({[](auto& b) {
                       AddDir(b, "d", 0700);
                       AddFile(b, "d/old");
                       AddFile(b, "d/sub/old");
                     },
                     [](auto& b) {
                       AddDir(b, "d", 0711);
                       Must(b.SetOpaque("d"));
                       AddFile(b, "d/new");
                     },
                     [](auto& b) { AddFile(b, "d/newer"); }});
  EXPECT_EQ(Names(*tree), "d/\nd/new\nd/newer\n");
  EXPECT_EQ(Get(*tree, "d").attr.mode, S_IFDIR | 0711u);
  EXPECT_GE(InoOf(*tree, "d"), Base(layers_, 1)->ino_limit());
  EXPECT_EQ(Get(*tree, "d").nlink, 2u);
}

TEST_F(MergeTest, OpaqueMarkerAloneLeavesAttributes) {
  auto tree =
      Merge({[](auto& b) {
               AddDir(b, "d", 0700);
               AddFile(b, "d/old");
             },
             [](auto& b) { Must(b.SetOpaque("d")); }, [](auto& b) { Must(b.SetOpaque("d")); }});
  EXPECT_EQ(Names(*tree), "d/\n");
  EXPECT_EQ(Get(*tree, "d").attr.mode, S_IFDIR | 0700u);
}

TEST_F(MergeTest, DeletedAndMadeAnewDirectoryHasNothingOfTheOld) {
  auto tree = Merge({[](auto& b) {
                       AddDir(b, "d", 0700);
                       AddFile(b, "d/old");
                     },
                     [](auto& b) {
                       Must(b.AddWhiteout("d"));
                       AddFile(b, "d/new");
                     }});
  EXPECT_EQ(Names(*tree), "d/\nd/new\n");
  EXPECT_EQ(Get(*tree, "d").attr.mode, S_IFDIR | 0755u);
}

TEST_F(MergeTest, OpaqueRootStartsAfreshButStaysNumberOne) {
  auto tree = Merge({[](auto& b) {
                       AddDir(b, "", 0700);
                       AddFile(b, "a/b");
                     },
                     [](auto& b) {
                       Must(b.SetOpaque(""));
                       AddFile(b, "c");
                     },
                     [](auto& b) { AddFile(b, "d"); }});
  EXPECT_EQ(Paths(*tree), "c\nd\n");
  EXPECT_EQ(Must(tree->Get(kRootIno)).attr.mode, S_IFDIR | 0700u);
  EXPECT_EQ(Must(tree->Get(kRootIno)).nlink, 2u);
}

TEST_F(MergeTest, FileReplacesDirectoryAndTheReverse) {
  auto tree = Merge({[](auto& b) {
                       AddFile(b, "d/x");
                       AddFile(b, "f");
                       AddDir(b, "g", 0700);
                       AddFile(b, "g/old");
                     },
                     [](auto& b) {
                       AddFile(b, "d");
                       AddFile(b, "f/x");
                       AddFile(b, "g");
                     },
                     [](auto& b) { AddFile(b, "g/new"); }});
  EXPECT_EQ(Names(*tree), "d\nf/\nf/x\ng/\ng/new\n");
  EXPECT_EQ(Get(*tree, "g").attr.mode, S_IFDIR | 0755u);
}

TEST_F(MergeTest, ExternalLinkTakesTheTargetsInode) {
  auto tree = Merge({[](auto& b) { AddFile(b, "d/a", 0640); },
                     [](auto& b) { Must(b.AddHardLink("b", "d/a")); },
                     [](auto& b) { Must(b.AddHardLink("c", "b")); }});
  Inode a = Get(*tree, "d/a");
  EXPECT_EQ(a.nlink, 3u);
  EXPECT_EQ(a.ino, InoOf(*tree, "b"));
  EXPECT_EQ(a.ino, InoOf(*tree, "c"));
  EXPECT_EQ(a.ino, InoOf(*Base(layers_, 1), "d/a"));
  EXPECT_EQ(Must(tree->Names(a.ino)).size(), 3u);
  EXPECT_EQ(Must(tree->Lookup(kRootIno, "c"))->type, DT_REG);
}

TEST_F(MergeTest, RenameAsALinkAndAWhiteoutKeepsTheInode) {
  auto tree = Merge({[](auto& b) { AddFile(b, "old"); },
                     [](auto& b) {
                       Must(b.AddHardLink("new", "old"));
                       Must(b.AddWhiteout("old"));
                     }});
  EXPECT_EQ(Names(*tree), "new\n");
  EXPECT_EQ(Get(*tree, "new").nlink, 1u);
  auto names = Must(tree->Names(InoOf(*tree, "new")));
  ASSERT_EQ(names.size(), 1u);
  EXPECT_EQ(names[0].name, "new");
}

TEST_F(MergeTest, ExternalLinkFollowsSymlinksOfTheLayersBelow) {
  auto tree = Merge({[](auto& b) {
                       AddFile(b, "usr/lib/x");
                       AddSymlink(b, "lib", "/usr/lib");
                       AddSymlink(b, "usr/up", "../../lib/../lib");
                     },
                     [](auto& b) {
                       Must(b.AddHardLink("a", "lib/x"));
                       Must(b.AddHardLink("b", "usr/up/x"));
                       Must(b.AddHardLink("c", "lib"));
                     }});
  EXPECT_EQ(Get(*tree, "usr/lib/x").nlink, 3u);
  EXPECT_EQ(Must(tree->Lookup(kRootIno, "c"))->type, DT_LNK);
  EXPECT_EQ(Must(tree->LinkTarget(InoOf(*tree, "c"))), "/usr/lib");
  EXPECT_EQ(Get(*tree, "lib").nlink, 2u);
}

TEST_F(MergeTest, LinkThatAlreadyIsChangesNothing) {
  auto tree = Merge({[](auto& b) {
                       AddFile(b, "a");
                       Must(b.AddHardLink("b", "a"));
                     },
                     [](auto& b) { Must(b.AddHardLink("b", "a")); }});
  EXPECT_EQ(Get(*tree, "a").nlink, 2u);
  EXPECT_EQ(Must(tree->Names(InoOf(*tree, "a"))).size(), 2u);
}

TEST_F(MergeTest, HidingANameLowersTheCount) {
  auto tree = Merge({[](auto& b) {
                       AddFile(b, "a");
                       Must(b.AddHardLink("d/e/b", "a"));
                       Must(b.AddHardLink("d/c", "a"));
                       Must(b.AddHardLink("z", "a"));
                     },
                     [](auto& b) { Must(b.AddWhiteout("d")); }, [](auto& b) { AddFile(b, "a"); }});
  EXPECT_EQ(Names(*tree), "a\nz\n");
  EXPECT_EQ(Get(*tree, "z").nlink, 1u);
  EXPECT_EQ(Must(tree->Names(InoOf(*tree, "z")))[0].name, "z");
  EXPECT_EQ(Get(*tree, "z").parent, kRootIno);
}

TEST_F(MergeTest, LinkToReplacedFileLeadsToTheLowerOneUnlessGivenEarlier) {
  auto tree = Merge({[](auto& b) { AddFile(b, "a", 0600); },
                     [](auto& b) {
                       Must(b.AddHardLink("before", "a"));
                       AddFile(b, "a", 0644);
                       Must(b.AddHardLink("after", "a"));
                     }});
  EXPECT_EQ(Get(*tree, "before").attr.mode, S_IFREG | 0600u);
  EXPECT_EQ(Get(*tree, "before").nlink, 1u);
  EXPECT_EQ(InoOf(*tree, "after"), InoOf(*tree, "a"));
}

TEST_F(MergeTest, ExternalLinkToNothingNamesThePath) {
  EXPECT_THAT(ErrorOf({[](auto& b) { AddFile(b, "a"); },
                       [](auto& b) { Must(b.AddHardLink("b", "no/such")); }}),
              testing::HasSubstr("\"no/such\""));
}

TEST_F(MergeTest, ExternalLinkToADirectoryNamesThePath) {
  EXPECT_THAT(ErrorOf({[](auto& b) { AddDir(b, "dir"); },
                       [](auto& b) { Must(b.AddHardLink("b", "dir")); }}),
              testing::HasSubstr("\"dir\""));
}

TEST_F(MergeTest, ExternalLinkInTheLowestLayerFails) {
  layers_.push_back(Layer([](auto& b) { Must(b.AddHardLink("b", "a")); }));
  EXPECT_EQ(TryBase(layers_).error().code(), EBADMSG);
}

TEST_F(MergeTest, EmptyLayerChangesNothing) {
  auto tree = Merge({[](auto& b) { AddFile(b, "a"); }, [](auto&) {}});
  EXPECT_EQ(Names(*tree), "a\n");
  EXPECT_EQ(tree->ino_limit(), Base(layers_, 1)->ino_limit() + 1);
  EXPECT_LT(FileSize(Chain(2).Hex()), 512u);
}

}  // namespace
}  // namespace veneer::tree
