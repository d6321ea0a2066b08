// Rename of files and directories of the lower, the upper and both.
#include <fcntl.h>
#include <stdio.h>

#include "tests/conformance/conformance.h"

namespace veneer::fs::conformance {
namespace {

using testing::MakeDirs;
using testing::WriteFile;
using Names = std::vector<std::string>;

class Rename : public Conformance {
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
    return Code(fs().Rename(from, to, flags));
  }
};

TEST_P(Rename, ReplacesLowerFile) {
  ASSERT_EQ(Move("f", "g"), 0);
  EXPECT_FALSE(Exists("f"));
  EXPECT_EQ(Read("g"), "lower f");
  Remount();
  EXPECT_FALSE(Exists("f"));
  EXPECT_EQ(Read("g"), "lower f");
}

TEST_P(Rename, MovesLowerDirectoryAndKeepsItsContent) {
  ASSERT_EQ(Move("d", "moved"), 0);
  EXPECT_FALSE(Exists("d"));
  EXPECT_EQ(Read("moved/sub/deep/leaf"), "leaf");
  Write("moved/sub/new", "new");
  Remount();
  EXPECT_FALSE(Exists("d"));
  EXPECT_EQ(List("moved"), (Names{"file", "sub"}));
  EXPECT_EQ(List("moved/sub"), (Names{"deep", "new"}));
}

TEST_P(Rename, MovesDirectoriesIntoEachOtherRepeatedly) {
  ASSERT_EQ(Move("d/sub", "empty/sub2"), 0);
  ASSERT_EQ(Move("empty", "d/inner"), 0);
  ASSERT_EQ(Move("d", "top"), 0);
  EXPECT_EQ(Read("top/inner/sub2/deep/leaf"), "leaf");
  ASSERT_EQ(Code(fs().MakeDir("d")), 0);
  ASSERT_EQ(Code(fs().MakeDir("d/sub")), 0);
  EXPECT_TRUE(List("d/sub").empty());
  Remount();
  EXPECT_EQ(Read("top/inner/sub2/deep/leaf"), "leaf");
  EXPECT_TRUE(List("d/sub").empty());
  ASSERT_EQ(Move("top/inner/sub2", "back"), 0);
  EXPECT_EQ(Read("back/deep/leaf"), "leaf");
  EXPECT_TRUE(List("top/inner").empty());
}

TEST_P(Rename, GoesOnAfterARemount) {
  ASSERT_EQ(Move("d", "one"), 0);
  Remount();
  ASSERT_EQ(Move("one/sub", "full/two"), 0);
  Remount();
  ASSERT_EQ(Move("full", "one/three"), 0);
  Remount();
  EXPECT_EQ(Read("one/three/two/deep/leaf"), "leaf");
  EXPECT_EQ(Read("one/file"), "in d");
  EXPECT_EQ(List("one"), (Names{"file", "three"}));
  EXPECT_EQ(List(""), (Names{"empty", "f", "g", "one"}));
}

TEST_P(Rename, ThereAndBackAgain) {
  ASSERT_EQ(Move("d", "e"), 0);
  ASSERT_EQ(Move("e", "d"), 0);
  EXPECT_EQ(Read("d/file"), "in d");
  Remount();
  EXPECT_EQ(Read("d/sub/deep/leaf"), "leaf");
  EXPECT_FALSE(Exists("e"));
}

// What was moved costs its own entry, whatever is in it.
TEST_P(Rename, OfADirectoryCopiesNothing) {
  if (oracle()) return;
  ASSERT_EQ(Move("d", "empty/moved"), 0);
  control::Stats stats = Statistics();
  EXPECT_EQ(stats.bytes_copied, 0u);
  EXPECT_LE(stats.copy_ups, 2u) << "the directory, and its new parent";
  ASSERT_EQ(Move("empty/moved", "full", RENAME_EXCHANGE), 0);
  EXPECT_EQ(Statistics().bytes_copied, 0u);
  EXPECT_LE(Statistics().copy_ups, 3u);
  EXPECT_EQ(Read("full/sub/deep/leaf"), "leaf");
}

TEST_P(Rename, DirectoryReplacesEmptyDirectoryOnly) {
  EXPECT_EQ(Move("d", "full"), ENOTEMPTY);
  ASSERT_EQ(Move("d", "empty"), 0);
  EXPECT_EQ(List("empty"), (Names{"file", "sub"}));
  ASSERT_EQ(Code(fs().Unlink("full/x")), 0);
  ASSERT_EQ(Move("empty", "full"), 0);  // over a directory with a whiteout in it
  EXPECT_EQ(List("full"), (Names{"file", "sub"}));
  Remount();
  EXPECT_EQ(List("full"), (Names{"file", "sub"}));
  EXPECT_FALSE(Exists("empty"));
}

TEST_P(Rename, NewDirectoryOverRemovedNameShowsNothingOfTheLower) {
  ASSERT_EQ(Move("d", "away"), 0);
  ASSERT_EQ(Code(fs().MakeDir("fresh")), 0);
  ASSERT_EQ(Move("fresh", "d"), 0);
  EXPECT_TRUE(List("d").empty());
  Remount();
  EXPECT_TRUE(List("d").empty());
  EXPECT_EQ(Read("away/file"), "in d");
}

TEST_P(Rename, ErrorsAreThoseOfPosix) {
  EXPECT_EQ(Move("missing", "x"), ENOENT);
  EXPECT_EQ(Move("f", "d"), EISDIR);
  EXPECT_EQ(Move("d", "f"), ENOTDIR);
  EXPECT_EQ(Move("d", "d/sub/x"), EINVAL);
  EXPECT_EQ(Move("d/sub", "d"), ENOTEMPTY);
  EXPECT_EQ(Move("missing/a", "x"), ENOENT);
  EXPECT_EQ(Move("f", "missing/x"), ENOENT);
  EXPECT_EQ(Move("f", "g/x"), ENOTDIR);
  EXPECT_EQ(Move("f", std::string(256, 'n')), ENAMETOOLONG);
  EXPECT_EQ(Move("f", "f"), 0);
  EXPECT_EQ(Move("d", "d"), 0);
  EXPECT_EQ(Read("f"), "lower f");
}

TEST_P(Rename, NoReplaceReplacesNothing) {
  EXPECT_EQ(Move("f", "g", RENAME_NOREPLACE), EEXIST);
  EXPECT_EQ(Move("d", "empty", RENAME_NOREPLACE), EEXIST);
  ASSERT_EQ(Code(fs().Unlink("g")), 0);
  ASSERT_EQ(Move("f", "g", RENAME_NOREPLACE), 0);  // where a whiteout stands
  ASSERT_EQ(Move("d", "new", RENAME_NOREPLACE), 0);
  Remount();
  EXPECT_EQ(Read("g"), "lower f");
  EXPECT_EQ(Read("new/sub/deep/leaf"), "leaf");
}

TEST_P(Rename, UnknownFlagsAreRefused) {
  EXPECT_EQ(Move("f", "g", RENAME_NOREPLACE | RENAME_EXCHANGE), EINVAL);
  EXPECT_EQ(Move("f", "g", 1U << 10), EINVAL);
  if (Differs(Difference::kNoWhiteoutsByRename)) {
    EXPECT_EQ(Move("f", "g", RENAME_WHITEOUT), EINVAL);
  } else {
    EXPECT_EQ(Move("f", "g", RENAME_WHITEOUT), 0);
    EXPECT_TRUE(S_ISCHR(Stat("f").st_mode));
  }
}

TEST_P(Rename, ExchangesAnything) {
  EXPECT_EQ(Move("f", "missing", RENAME_EXCHANGE), ENOENT);
  EXPECT_EQ(Move("d", "d/sub", RENAME_EXCHANGE), EINVAL);
  ASSERT_EQ(Move("f", "d", RENAME_EXCHANGE), 0);
  EXPECT_EQ(Read("d"), "lower f");
  EXPECT_EQ(Read("f/file"), "in d");
  ASSERT_EQ(Move("f/sub", "full", RENAME_EXCHANGE), 0);
  EXPECT_EQ(List("f/sub"), Names{"x"});
  EXPECT_EQ(Read("full/deep/leaf"), "leaf");
  Remount();
  EXPECT_EQ(Read("d"), "lower f");
  EXPECT_EQ(List("f/sub"), Names{"x"});
  EXPECT_EQ(Read("full/deep/leaf"), "leaf");
}

TEST_P(Rename, OntoAnotherNameOfTheSameFileDoesNothing) {
  ASSERT_EQ(Code(fs().Link("f", "f2")), 0);
  ASSERT_EQ(Move("f", "f2"), 0);
  EXPECT_TRUE(Exists("f"));
  EXPECT_TRUE(Exists("f2"));
}

TEST_P(Rename, OpenReplacedFileIsStillReadable) {
  FilePtr file = Open("g", O_RDONLY);
  ASSERT_EQ(Move("f", "g"), 0);
  EXPECT_EQ(Read(*file), "lower g");
  EXPECT_EQ(file->Stat()->st_nlink, 0u);
}

TEST_P(Rename, OpenFileFollowsItsDirectory) {
  FilePtr file = Open("d/sub/deep/leaf", O_RDWR);
  ASSERT_EQ(Move("d/sub", "empty/s"), 0);
  ASSERT_EQ(Move("empty", "e"), 0);
  ASSERT_TRUE(file->Write("L", 0));
  ASSERT_EQ(Code(file->Chmod(0600)), 0);
  EXPECT_EQ(Read("e/s/deep/leaf"), "Leaf");
  EXPECT_EQ(Mode("e/s/deep/leaf"), 0600u);
}

TEST_P(Rename, LinkCountsOfDirectoriesFollow) {
  ASSERT_EQ(Move("d/sub", "full/sub"), 0);
  EXPECT_EQ(Stat("d").st_nlink, 2u);
  EXPECT_EQ(Stat("full").st_nlink, 3u);
  ASSERT_EQ(Move("f", "full/sub", RENAME_EXCHANGE), 0);
  EXPECT_EQ(Stat("full").st_nlink, 2u);
}

TEST_P(Rename, ChangesTheTimesOfBothParents) {
  for (const char* dir : {"d", "full"}) {
    ASSERT_EQ(Code(fs().SetTimes(dir, {1000, 0}, {1000, 0})), 0);
  }
  ASSERT_EQ(Move("d/file", "full/file"), 0);
  for (const char* dir : {"d", "full"}) EXPECT_GT(Stat(dir).st_mtim.tv_sec, 1000) << dir;
}

VENEER_CONFORMANCE(Rename);

// A directory that several layers have.
class RenameMerged : public Conformance {
 protected:
  std::vector<Fill> Layers() override {
    return {[](const std::string& dir) {
              MakeDirs(dir + "/d/sub");
              WriteFile(dir + "/d/low", "low");
              WriteFile(dir + "/d/both", "hidden");
              WriteFile(dir + "/d/sub/x", "x");
            },
            [](const std::string& dir) {
              MakeDirs(dir + "/d/sub");
              WriteFile(dir + "/d/both", "shown");
              WriteFile(dir + "/d/sub/y", "y");
            }};
  }
};

TEST_P(RenameMerged, MovesWithAllItsLayers) {
  Write("d/upper", "upper");
  ASSERT_EQ(Code(fs().Unlink("d/low")), 0);
  ASSERT_EQ(Code(fs().Rename("d", "moved")), 0);
  for (int round = 0; round < 2; ++round) {
    EXPECT_EQ(List("moved"), (Names{"both", "sub", "upper"}));
    EXPECT_EQ(List("moved/sub"), (Names{"x", "y"}));
    EXPECT_EQ(Read("moved/both"), "shown");
    EXPECT_EQ(List(""), Names{"moved"});
    Remount();
  }
  ASSERT_EQ(Code(fs().MakeDir("d")), 0);
  EXPECT_TRUE(List("d").empty());
  ASSERT_EQ(Code(fs().Rename("moved/sub", "d")), 0);
  Remount();
  EXPECT_EQ(List("d"), (Names{"x", "y"}));
}

VENEER_CONFORMANCE(RenameMerged);

}  // namespace
}  // namespace veneer::fs::conformance
