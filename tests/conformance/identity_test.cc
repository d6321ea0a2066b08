// Inode numbers: constant over copy-up, rename and remount, unique, and the same in listings and in
// stat. What stat shows does not change by a copy-up.
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <map>
#include <set>

#include "tests/conformance/conformance.h"

namespace veneer::fs::conformance {
namespace {

using testing::MakeDirs;
using testing::WriteFile;

class Identity : public Conformance {
 protected:
  void Populate(const std::string& dir) override {
    MakeDirs(dir + "/d/sub");
    WriteFile(dir + "/d/file", "content");
    WriteFile(dir + "/f", "f");
    ASSERT_EQ(symlink("f", (dir + "/s").c_str()), 0);
    ASSERT_EQ(mkfifo((dir + "/p").c_str(), 0644), 0);
  }
  ino_t Ino(const std::string& name) { return Stat(name).st_ino; }
  // Compares d_ino and d_type with stat for everything, and finds numbers that are used twice.
  void CheckListings(const std::string& path, std::set<ino_t>& seen) {
    dev_t device = Stat("").st_dev;
    for (const DirItem& item : Items(path)) {
      if (item.name == "..") continue;
      std::string below = path.empty() ? item.name : std::string(path).append("/" + item.name);
      struct stat st = Stat(item.name == "." ? path : below);
      EXPECT_EQ(item.ino, st.st_ino) << below;
      EXPECT_EQ(item.type, st.st_mode >> 12) << below;
      EXPECT_EQ(st.st_dev, device) << below;
      if (item.name == ".") continue;
      EXPECT_TRUE(seen.insert(st.st_ino).second) << below;
      if (S_ISDIR(st.st_mode)) CheckListings(below, seen);
    }
  }
  void CheckListings() {
    std::set<ino_t> seen;
    CheckListings("", seen);
  }
};

TEST_P(Identity, DotDotOfAMovedDirectoryIsItsNewParent) {
  auto parent = [&](const std::string& path) {
    ino_t ino = 0;
    for (int i = 0; i < 2; ++i) {  // the second time from a cache
      for (const DirItem& item : Items(path)) {
        if (item.name == "..") ino = item.ino;
      }
    }
    return ino;
  };
  ASSERT_EQ(Code(fs().MakeDir("e")), 0);
  ASSERT_EQ(Code(fs().MakeDir("e/new")), 0);
  EXPECT_EQ(parent("d/sub"), Ino("d"));
  EXPECT_EQ(parent("e/new"), Ino("e"));
  ASSERT_EQ(Code(fs().Rename("d/sub", "e/new", RENAME_EXCHANGE)), 0);
  EXPECT_EQ(parent("e/new"), Ino("e"));
  EXPECT_EQ(parent("d/sub"), Ino("d"));
  ASSERT_EQ(Code(fs().Rename("e/new", "moved")), 0);
  EXPECT_EQ(parent("moved"), Ino(""));
}

TEST_P(Identity, NumbersSurviveCopyUpRenameAndRemount) {
  std::map<std::string, ino_t> before;
  for (const char* name : {"d", "d/sub", "d/file", "f", "s", "p"}) before[name] = Ino(name);
  Append("f", "x");
  ASSERT_EQ(Code(fs().Chmod("d/file", 0600)), 0);
  ASSERT_EQ(Code(fs().Chown("s", 1, 1)), 0);
  ASSERT_EQ(Code(fs().Chmod("p", 0600)), 0);
  Write("d/sub/new", "n");
  ino_t made = Ino("d/sub/new");
  for (const auto& [name, ino] : before) EXPECT_EQ(Ino(name), ino) << name;
  CheckListings();
  Remount();
  for (const auto& [name, ino] : before) EXPECT_EQ(Ino(name), ino) << name;
  EXPECT_EQ(Ino("d/sub/new"), made);
  ASSERT_EQ(Code(fs().Rename("d", "e")), 0);
  ASSERT_EQ(Code(fs().Rename("f", "e/f")), 0);
  EXPECT_EQ(Ino("e/file"), before["d/file"]);
  EXPECT_EQ(Ino("e/f"), before["f"]);
  Remount();
  EXPECT_EQ(Ino("e"), before["d"]);
  EXPECT_EQ(Ino("e/file"), before["d/file"]);
  EXPECT_EQ(Ino("e/f"), before["f"]);
  CheckListings();
}

TEST_P(Identity, NumbersAreNotSharedWithWhatIsMadeInPlace) {
  FilePtr old = Open("f", O_RDONLY);
  ino_t ino = Ino("f");
  ASSERT_EQ(Code(fs().Unlink("f")), 0);
  Write("f", "another");
  EXPECT_NE(Ino("f"), ino);
  EXPECT_EQ(old->Stat()->st_ino, ino);
  CheckListings();
}

TEST_P(Identity, StatDoesNotChangeOverCopyUp) {
  struct stat before = Stat("d/file");
  struct stat parent = Stat("d");
  Open("d/file", O_RDWR);
  for (int round = 0; round < 2; ++round) {
    struct stat after = Stat("d/file");
    EXPECT_EQ(before.st_mtim.tv_sec, after.st_mtim.tv_sec);
    EXPECT_EQ(before.st_mtim.tv_nsec, after.st_mtim.tv_nsec);
    EXPECT_EQ(before.st_mode, after.st_mode);
    EXPECT_EQ(before.st_size, after.st_size);
    EXPECT_EQ(before.st_nlink, after.st_nlink);
    EXPECT_EQ(Stat("d").st_mtim.tv_nsec, parent.st_mtim.tv_nsec);
    Remount();
  }
}

TEST_P(Identity, LinkCountsOfDirectories) {
  EXPECT_EQ(Stat("d").st_nlink, 3u);
  ASSERT_EQ(Code(fs().MakeDir("d/one")), 0);
  EXPECT_EQ(Stat("d").st_nlink, 4u);
  ASSERT_EQ(Code(fs().RemoveDir("d/sub")), 0);
  EXPECT_EQ(Stat("d").st_nlink, 3u);
  Remount();
  EXPECT_EQ(Stat("d").st_nlink, 3u);
}

VENEER_CONFORMANCE(Identity);

// Numbers come from the layers, wherever each name is.
class IdentityMerged : public Identity {
 protected:
  std::vector<Fill> Layers() override {
    return {[](const std::string& dir) {
              MakeDirs(dir + "/d/sub");
              WriteFile(dir + "/d/low", "low");
            },
            [](const std::string& dir) {
              MakeDirs(dir + "/d/sub");
              WriteFile(dir + "/d/high", "high");
            }};
  }
};

TEST_P(IdentityMerged, NumbersAreUniqueAndLasting) {
  std::map<std::string, ino_t> before;
  for (const char* name : {"d", "d/sub", "d/low", "d/high"}) before[name] = Ino(name);
  CheckListings();
  Append("d/low", "x");
  Append("d/high", "x");
  ASSERT_EQ(Code(fs().Rename("d/sub", "moved")), 0);
  ASSERT_EQ(Code(fs().Rename("moved", "d/sub")), 0);
  for (int round = 0; round < 2; ++round) {
    for (const auto& [name, ino] : before) EXPECT_EQ(Ino(name), ino) << name;
    CheckListings();
    Remount();
  }
}

TEST_P(IdentityMerged, LinkCountOfAMergedDirectory) {
  EXPECT_EQ(Stat("d").st_nlink, Differs(Difference::kMergedLinkCount) ? 1u : 3u);
  EXPECT_EQ(Stat("d/low").st_nlink, 1u);
}

VENEER_CONFORMANCE(IdentityMerged);

class IdentityOverDeath : public KernelConformance {
 protected:
  void Populate(const std::string& dir) override {
    MakeDirs(dir + "/d");
    WriteFile(dir + "/d/f", "f");
  }
};

TEST_P(IdentityOverDeath, NumbersSurviveTheDaemon) {
  if (oracle()) return;
  ASSERT_EQ(Code(fs().Chmod("d/f", 0600)), 0);
  Write("new", "n");
  ino_t f = Stat("d/f").st_ino;
  ino_t made = Stat("new").st_ino;
  work().Kill();
  work().Mount();
  EXPECT_EQ(Stat("d/f").st_ino, f);
  EXPECT_EQ(Stat("new").st_ino, made);
}

VENEER_KERNEL_CONFORMANCE(IdentityOverDeath);

}  // namespace
}  // namespace veneer::fs::conformance
