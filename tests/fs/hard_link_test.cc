// Copy-ups of a file with several names that are slow, or fail. What links are to do when all goes
// well is in tests/conformance.
#include <fcntl.h>
#include <stdio.h>

#include <chrono>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

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

// The name goes while the copy-up is between the first link and the last.
TEST_P(HardLink, RemovalWaitsForACopyUpOfAllNames) {
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

// Store mounts alone have one.
class HardLinkJournal : public HardLink {};

// Killed between the links, after a directory of a name that is still missing was moved.
TEST_P(HardLinkJournal, NamesAreFoundInDirectoriesThatMoveDuringTheCopyUp) {
  work().Unmount();
  work().Mount("copy_up.between_links=delay:20000@2");
  std::thread writer([&] { (void)chmod(At("second/d1/a").c_str(), 0640); });  // does not return
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  // Two names are linked, and the directory of the second is held.
  auto linked = [&](const std::string& name) { return Exists(work().upper() + "/second/" + name); };
  bool below_d2 = linked("d1/a") && linked("d1/b");
  std::string moved = below_d2 ? "d2" : "d1";
  ASSERT_EQ(rename(At("second/" + moved).c_str(), At("moved").c_str()), 0) << strerror(errno);
  if (below_d2) {
    ASSERT_EQ(rename(At("moved/sub").c_str(), At("sub").c_str()), 0) << strerror(errno);
  }
  // What is there now is none of it.
  MakeDirs(At("second/" + moved));
  work().Kill();
  writer.join();
  work().Mount();
  std::vector<std::string> names = {"second/d1/a", "second/d1/b", "second/d2/c", "second/d2/sub/e"};
  if (below_d2) {
    names[2] = "moved/c";
    names[3] = "sub/e";
  } else {
    names[0] = "moved/a";
    names[1] = "moved/b";
  }
  for (int round = 0; round < 2; ++round) {
    for (const std::string& name : names) {
      EXPECT_EQ(Stat(At(name)).st_nlink, 4u) << name;
      EXPECT_EQ(Stat(At(name)).st_ino, Stat(At(names[0])).st_ino) << name;
      AppendFile(At(name), "+");
    }
    work().Remount();
  }
  for (const std::string& name : names) EXPECT_EQ(ReadFile(At(name)), "content++++++++") << name;
  EXPECT_TRUE(ListDir(At("second/" + moved)).empty());
  EXPECT_TRUE(ListDir(work().work() + "/links").empty());
}

// Left behind by whatever: names that are gone, were never there, or are no journal at all.
TEST_P(HardLinkJournal, AJournalThatIsOutOfDateChangesNothing) {
  char number[17];
  auto hex = [&](const std::string& name) {
    snprintf(number, sizeof number, "%016lx", Stat(At(name)).st_ino);
    return std::string(number);
  };
  std::string file = hex("d1/a");
  std::string d1 = hex("d1"), d2 = hex("d2"), sub = hex("d2/sub"), second = hex("second");
  ASSERT_EQ(unlink(At("d1/b").c_str()), 0);
  ASSERT_EQ(rename(At("d2/sub/e").c_str(), At("moved").c_str()), 0);
  ASSERT_EQ(unlink(At("d2/c").c_str()), 0);
  WriteFile(At("d2/c"), "another");
  std::string before = TreeText(work().path());
  const std::string end(1, '\0');
  const std::vector<std::string> journals = {
      "/" + d1 + "/b" + end + "/" + d2 + "/c" + end + "/" + sub + "/e" + end,
      "/" + d1 + "/new" + end + "/" + file + "/new" + end + "/ffffffffffffffff/new" + end,
      "/" + second + "/../x" + end + "/" + second + "/.." + end,
      "d2/new" + end + "d1/b" + end,
      "/" + d1 + "/b",
      "/" + d1 + end,
      end + end,
      "",
  };
  for (const std::string& journal : journals) {
    for (const std::string& of : {file, std::string("ffffffffffffffff"), std::string("stray")}) {
      work().Unmount();
      WriteFile(work().work() + "/links/" + of, "stale");
      WriteFile(work().work() + "/links/" + of + ".names", journal);
      work().Mount();
      EXPECT_EQ(TreeText(work().path()), before) << journal;
      EXPECT_TRUE(ListDir(work().work() + "/links").empty()) << journal;
    }
  }
}

VENEER_OVER_MOUNTS(HardLink);
INSTANTIATE_TEST_SUITE_P(Each, HardLinkJournal, ::testing::Values(Kind::kChain), KindName);

}  // namespace
}  // namespace veneer::fs::testing
