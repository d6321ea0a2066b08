// Copy-ups of a file with several names that are slow, or fail. What links are to do when all goes
// well is in tests/conformance.
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

VENEER_OVER_MOUNTS(HardLink);

}  // namespace
}  // namespace veneer::fs::testing
