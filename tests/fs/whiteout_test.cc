// Whiteouts that are devices are links of one inode. What whiteouts do is in tests/conformance.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <set>
#include <thread>
#include <utility>

#include "tests/fs/kernel_overlay.h"
#include "tests/fs/work_dir.h"

namespace veneer::fs::testing {
namespace {

constexpr int kMany = 400;

std::string Numbered(int i) { return "many/" + std::to_string(i); }

void PopulateLower(const std::string& dir) {
  for (const char* name : {"/d/sub", "/many", "/empty", "/copied"}) MakeDirs(dir + name);
  for (const char* name : {"/a", "/b", "/c", "/e", "/f", "/d/x", "/d/sub/y"}) {
    WriteFile(dir + name, name);
  }
  for (int i = 0; i < kMany; ++i) WriteFile(dir + "/" + Numbered(i), "m");
}

class SharedWhiteout : public OverEachKind {
 protected:
  void Populate(const std::string& dir) override { PopulateLower(dir); }
  void Remove(const std::string& name) {
    EXPECT_EQ(remove(At(name).c_str()), 0) << name << ": " << strerror(errno);
  }
  struct stat Whiteout(const std::string& name) {
    struct stat st = Stat(work().upper() + "/" + name);
    EXPECT_TRUE(S_ISCHR(st.st_mode) && st.st_rdev == makedev(0, 0)) << name;
    return st;
  }
  ino_t InodeOf(const std::string& name) { return Whiteout(name).st_ino; }
  std::vector<std::string> Temporaries() { return ListDir(work().work() + "/work"); }
};

TEST_P(SharedWhiteout, IsOneInodeForAllNames) {
  EXPECT_TRUE(Temporaries().empty());
  AppendFile(At("b"), "+");                         // a file in the upper
  ASSERT_EQ(chmod(At("copied").c_str(), 0700), 0);  // a directory in the upper
  for (const char* name : {"a", "b", "d/sub/y", "empty", "copied"}) Remove(name);
  for (const char* name : {"b", "d/sub/y", "empty", "copied"}) {
    EXPECT_EQ(InodeOf(name), InodeOf("a")) << name;
  }
  EXPECT_EQ(Whiteout("a").st_nlink, 6u);
  EXPECT_EQ(Temporaries().size(), 1u);
  std::string view = TreeText(At(""));
  work().Unmount();
  EXPECT_TRUE(Temporaries().empty());
  EXPECT_EQ(Whiteout("a").st_nlink, 5u);
  if (GetParam() == Kind::kStack) {
    EXPECT_EQ(KernelView(work()), view);
  }
  work().Mount();
  EXPECT_EQ(TreeText(At("")), view);
  Remove("c");
  EXPECT_NE(InodeOf("c"), InodeOf("a")) << "the next mount's own";
}

TEST_P(SharedWhiteout, IsNotChangedByWhatTakesItsPlaces) {
  for (const char* name : {"a", "b", "c", "e", "f", "d/x"}) Remove(name);
  struct stat before = Whiteout("a");
  WriteFile(At("b"), "again");
  EXPECT_EQ(chown(At("b").c_str(), 5, 6), 0);
  EXPECT_EQ(chmod(At("b").c_str(), 0640), 0);
  EXPECT_EQ(mknod(At("c").c_str(), S_IFCHR | 0600, makedev(1, 3)), 0);
  EXPECT_EQ(mkdir(At("e").c_str(), 0755), 0);
  EXPECT_EQ(rename(At("d/sub/y").c_str(), At("f").c_str()), 0);
  EXPECT_EQ(rename(At("d/sub").c_str(), At("d/x").c_str()), 0);
  struct stat after = Whiteout("a");
  EXPECT_EQ(after.st_mode, static_cast<mode_t>(S_IFCHR));
  EXPECT_EQ(after.st_uid, 0u);
  EXPECT_EQ(after.st_gid, 0u);
  EXPECT_EQ(after.st_rdev, makedev(0, 0));
  EXPECT_EQ(after.st_mtim.tv_sec, before.st_mtim.tv_sec);
  EXPECT_EQ(after.st_mtim.tv_nsec, before.st_mtim.tv_nsec);
  EXPECT_EQ(Xattr(work().upper() + "/a", "trusted.overlay.veneer.ino"), "");
  EXPECT_EQ(after.st_nlink, 3u) << "a, the one in work, and d/sub, which changed places";
  // Taken away again, they are whiteouts again.
  for (const char* name : {"b", "c", "e", "f", "d/x"}) {
    Remove(name);
    EXPECT_EQ(InodeOf(name), after.st_ino) << name;
  }
}

// It is made elsewhere and moved, which changes its change time.
TEST_P(SharedWhiteout, WhatIsMadeInItsPlaceHasTheChangeTimeThatLasts) {
  std::string name = At(ListDir(work().path()).front());
  ASSERT_EQ(unlink(name.c_str()), 0);
  OpenFile(name, O_WRONLY | O_CREAT | O_EXCL);
  auto changed = [&](int flags) {
    struct statx stx = {};
    EXPECT_EQ(statx(AT_FDCWD, name.c_str(), flags, STATX_CTIME, &stx), 0);
    return std::pair(stx.stx_ctime.tv_sec, stx.stx_ctime.tv_nsec);
  };
  auto told = changed(AT_STATX_DONT_SYNC);
  EXPECT_EQ(told, changed(AT_STATX_FORCE_SYNC));
}

TEST_P(SharedWhiteout, GivesWayWhenItHasTooManyLinks) {
  work().Unmount();
  work().Mount("whiteout.before_link=error:EMLINK@3");
  AppendFile(At("d/x"), "+");
  for (const char* name : {"a", "b", "c", "e", "d/x"}) Remove(name);
  EXPECT_EQ(InodeOf("a"), InodeOf("b"));
  EXPECT_EQ(Whiteout("c").st_nlink, 1u);
  EXPECT_EQ(InodeOf("e"), InodeOf("d/x"));
  EXPECT_EQ(std::set({InodeOf("a"), InodeOf("c"), InodeOf("e")}).size(), 3u);
  EXPECT_EQ(Temporaries().size(), 1u);
  EXPECT_EQ(Whiteout("a").st_nlink, 2u);
  work().Remount();
  for (const char* name : {"a", "b", "c", "e", "d/x"}) EXPECT_FALSE(Exists(At(name))) << name;
  work().Unmount();
  EXPECT_TRUE(Temporaries().empty());
}

// What fails one link does not fail the removal, nor end the sharing.
TEST_P(SharedWhiteout, IsDoneWithoutWhereALinkFails) {
  work().Unmount();
  work().Mount("whiteout.before_link=error:EIO@2");
  for (const char* name : {"a", "b", "c"}) Remove(name);
  EXPECT_EQ(Whiteout("b").st_nlink, 1u);
  EXPECT_EQ(InodeOf("a"), InodeOf("c"));
}

TEST_P(SharedWhiteout, IsMadeAnewWhenSomebodyRemovedIt) {
  Remove("a");
  auto names = Temporaries();
  ASSERT_EQ(names.size(), 1u);
  ASSERT_EQ(unlink((work().work() + "/work/" + names[0]).c_str()), 0);
  for (const char* name : {"b", "c", "e"}) Remove(name);
  EXPECT_EQ(Whiteout("a").st_nlink, 1u);
  EXPECT_EQ(Whiteout("b").st_nlink, 1u);
  EXPECT_EQ(InodeOf("c"), InodeOf("e"));
}

TEST_P(SharedWhiteout, OutlivesItsDaemon) {
  for (const char* name : {"a", "b"}) Remove(name);
  work().Kill();
  EXPECT_EQ(Temporaries().size(), 1u);
  EXPECT_EQ(Whiteout("a").st_nlink, 3u);
  work().Mount();
  EXPECT_TRUE(Temporaries().empty());
  EXPECT_EQ(Whiteout("a").st_nlink, 2u);
  for (const char* name : {"a", "b"}) EXPECT_FALSE(Exists(At(name))) << name;
  Remove("c");
  EXPECT_FALSE(Exists(At("c")));
}

TEST_P(SharedWhiteout, IsOneForManyThreads) {
  std::vector<std::thread> threads;
  threads.reserve(8);
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      for (int i = t; i < kMany; i += 8) {
        if (i % 3 == 0) AppendFile(At(Numbered(i)), "+");
        Remove(Numbered(i));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(ListDir(At("many")).empty());
  std::set<ino_t> inodes;
  for (int i = 0; i < kMany; ++i) inodes.insert(InodeOf(Numbered(i)));
  EXPECT_EQ(inodes.size(), 1u);
  work().Unmount();
  EXPECT_TRUE(Temporaries().empty());
  EXPECT_EQ(Whiteout(Numbered(0)).st_nlink, static_cast<nlink_t>(kMany));
}

VENEER_OVER_MOUNTS(SharedWhiteout);

}  // namespace
}  // namespace veneer::fs::testing
