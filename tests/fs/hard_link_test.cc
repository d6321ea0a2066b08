// Hard links of the lower stay links: over writes, removals, renames and remounts.
#include <fcntl.h>
#include <stdio.h>

#include <chrono>
#include <cstring>
#include <thread>

#include "tests/fs/work_dir.h"

namespace veneer::fs::testing {
namespace {

class HardLink : public OverEachKind {
 protected:
  void Populate(const std::string& dir) override {
    MakeDirs(dir + "/d1");
    MakeDirs(dir + "/d2/sub");
    WriteFile(dir + "/d1/a", "content");
    for (const char* name : {"/d1/b", "/d2/c", "/d2/sub/e"}) {
      ASSERT_EQ(link((dir + "/d1/a").c_str(), (dir + name).c_str()), 0);
    }
    if (dir.ends_with("/second")) return;
    MakeDirs(dir + "/second");
    Populate(dir + "/second");
  }
};

TEST_P(HardLink, AllNamesShowOneFile) {
  struct stat a = Stat(At("d1/a"));
  struct stat e = Stat(At("d2/sub/e"));
  EXPECT_EQ(a.st_ino, e.st_ino);
  EXPECT_EQ(a.st_nlink, 4u);
}

TEST_P(HardLink, WritingOneNameChangesAll) {
  ino_t ino = Stat(At("d1/a")).st_ino;
  AppendFile(At("d2/c"), "+more");
  for (const char* name : {"d1/a", "d1/b", "d2/c", "d2/sub/e"}) {
    EXPECT_EQ(ReadFile(At(name)), "content+more") << name;
    EXPECT_EQ(Stat(At(name)).st_ino, ino) << name;
    EXPECT_EQ(Stat(At(name)).st_nlink, 4u) << name;
  }
  work().Remount();
  for (const char* name : {"d2/sub/e", "d2/c", "d1/b", "d1/a"}) {
    EXPECT_EQ(ReadFile(At(name)), "content+more") << name;
    EXPECT_EQ(Stat(At(name)).st_ino, ino) << name;
    EXPECT_EQ(Stat(At(name)).st_nlink, 4u) << name;
  }
}

TEST_P(HardLink, RemovingNamesCountsDown) {
  ASSERT_EQ(unlink(At("d1/b").c_str()), 0);
  EXPECT_EQ(Stat(At("d1/a")).st_nlink, 3u);
  AppendFile(At("d1/a"), "!");
  ASSERT_EQ(unlink(At("d1/a").c_str()), 0);
  EXPECT_EQ(Stat(At("d2/c")).st_nlink, 2u);
  EXPECT_EQ(ReadFile(At("d2/sub/e")), "content!");
  work().Remount();
  EXPECT_EQ(Stat(At("d2/c")).st_nlink, 2u);
  EXPECT_EQ(ReadFile(At("d2/c")), "content!");
  ASSERT_EQ(unlink(At("d2/c").c_str()), 0);
  EXPECT_EQ(Stat(At("d2/sub/e")).st_nlink, 1u);
  ASSERT_EQ(unlink(At("d2/sub/e").c_str()), 0);
  EXPECT_TRUE(ListDir(At("d1")).empty());
  if (!plain()) {
    EXPECT_TRUE(ListDir(work().work() + "/links").empty());
  }
}

TEST_P(HardLink, NewNamesJoin) {
  ASSERT_EQ(link(At("d2/c").c_str(), At("new").c_str()), 0);
  EXPECT_EQ(Stat(At("d1/a")).st_nlink, 5u);
  WriteFile(At("new"), "by new");
  EXPECT_EQ(ReadFile(At("d1/b")), "by new");
  work().Remount();
  EXPECT_EQ(Stat(At("new")).st_nlink, 5u);
  EXPECT_EQ(ReadFile(At("d2/sub/e")), "by new");
}

TEST_P(HardLink, NamesInMovedDirectoriesAreFound) {
  ASSERT_EQ(rename(At("d2").c_str(), At("moved").c_str()), 0);
  ASSERT_EQ(rename(At("moved/sub").c_str(), At("d1/sub").c_str()), 0);
  work().Remount();
  AppendFile(At("d1/a"), "+");
  EXPECT_EQ(ReadFile(At("moved/c")), "content+");
  EXPECT_EQ(ReadFile(At("d1/sub/e")), "content+");
  EXPECT_EQ(Stat(At("d1/sub/e")).st_nlink, 4u);
}

TEST_P(HardLink, NamesInRemovedDirectoriesAreNotBroughtBack) {
  ASSERT_EQ(unlink(At("d2/sub/e").c_str()), 0);
  ASSERT_EQ(rmdir(At("d2/sub").c_str()), 0);
  EXPECT_EQ(Stat(At("d1/a")).st_nlink, 3u);
  AppendFile(At("d1/a"), "+");
  EXPECT_FALSE(Exists(At("d2/sub")));
  EXPECT_EQ(ReadFile(At("d2/c")), "content+");
}

TEST_P(HardLink, RenamedNameStaysALink) {
  ASSERT_EQ(rename(At("d1/a").c_str(), At("d2/z").c_str()), 0);
  EXPECT_EQ(Stat(At("d2/z")).st_ino, Stat(At("d1/b")).st_ino);
  EXPECT_EQ(Stat(At("d2/z")).st_nlink, 4u);
  ASSERT_EQ(rename(At("d2/z").c_str(), At("d2/c").c_str()), 0);  // same file: nothing happens
  EXPECT_TRUE(Exists(At("d2/z")));
  WriteFile(At("other"), "other");
  ASSERT_EQ(rename(At("other").c_str(), At("d2/c").c_str()), 0);
  EXPECT_EQ(Stat(At("d2/z")).st_nlink, 3u);
  work().Remount();
  EXPECT_EQ(Stat(At("d2/z")).st_nlink, 3u);
  EXPECT_EQ(ReadFile(At("d1/b")), "content");
  EXPECT_EQ(ReadFile(At("d2/c")), "other");
  EXPECT_FALSE(Exists(At("d1/a")));
}

TEST_P(HardLink, ChmodReachesAllNames) {
  ASSERT_EQ(chmod(At("d1/b").c_str(), 0400), 0);
  EXPECT_EQ(Stat(At("d2/sub/e")).st_mode & 07777, 0400u);
  work().Remount();
  EXPECT_EQ(Stat(At("d2/sub/e")).st_mode & 07777, 0400u);
  EXPECT_EQ(ReadFile(At("d2/sub/e")), "content");
}

TEST_P(HardLink, ReplacedNameLeavesTheOthers) {
  WriteFile(At("x"), "x");
  ASSERT_EQ(rename(At("x").c_str(), At("d1/a").c_str()), 0);
  EXPECT_EQ(Stat(At("d1/b")).st_nlink, 3u);
  EXPECT_EQ(ReadFile(At("d1/b")), "content");
}

// The name goes while the copy-up is between the first link and the last.
TEST_P(HardLink, RemovalWaitsForACopyUpOfAllNames) {
  if (plain()) return;
  for (bool replaced : {false, true}) {
    work().Unmount();
    work().Mount("copy_up.between_links=delay:60");
    std::string prefix = replaced ? "second/" : "";
    if (replaced) WriteFile(At("x"), "x");
    std::thread writer([&] { AppendFile(At(prefix + "d1/a"), "!"); });
    std::this_thread::sleep_for(std::chrono::milliseconds(90));
    if (replaced) {
      EXPECT_EQ(rename(At("x").c_str(), At("second/d2/sub/e").c_str()), 0) << strerror(errno);
    } else {
      EXPECT_EQ(unlink(At("d2/sub/e").c_str()), 0) << strerror(errno);
    }
    writer.join();
    EXPECT_EQ(Stat(At(prefix + "d1/b")).st_nlink, 3u);
    EXPECT_EQ(ReadFile(At(prefix + "d2/c")), "content!");
    work().Remount();
    EXPECT_EQ(Stat(At(prefix + "d1/b")).st_nlink, 3u);
    EXPECT_EQ(ReadFile(At(prefix + "d2/c")), "content!");
    EXPECT_EQ(Exists(At(prefix + "d2/sub/e")), replaced);
  }
}

TEST_P(HardLink, FailedCopyUpLeavesAllNamesOneFile) {
  if (plain()) return;
  work().Unmount();
  // The index alone is enough for a stack; a chain's copy-up goes back, and the next one does it.
  work().Mount(
      "copy_up.before_links=error:EIO;copy_up.between_links=error:ENOSPC@2;"
      "copy_up.after_index=error:ENOSPC");
  int failed = 0;
  while (chmod(At("d1/a").c_str(), 0640) != 0 && failed < 5) {
    ++failed;
    for (const char* name : {"d1/a", "d1/b", "d2/c", "d2/sub/e"}) {
      EXPECT_EQ(Stat(At(name)).st_nlink, 4u) << name;
      EXPECT_EQ(Stat(At(name)).st_mode & 07777, 0644u) << name;
    }
  }
  EXPECT_EQ(failed, GetParam() == Kind::kChain ? 2 : 0);
  for (int round = 0; round < 2; ++round) {
    for (const char* name : {"d1/a", "d1/b", "d2/c", "d2/sub/e"}) {
      EXPECT_EQ(Stat(At(name)).st_nlink, 4u) << name;
      EXPECT_EQ(Stat(At(name)).st_mode & 07777, 0640u) << name;
    }
    AppendFile(At("d2/c"), "+");
    work().Remount();
  }
  EXPECT_EQ(ReadFile(At("d1/a")), "content++");
}

VENEER_OVER_EACH_KIND(HardLink);

}  // namespace
}  // namespace veneer::fs::testing
