// Who makes a file is its owner, and whoever comes after in the same thread is not taken for them.
#include "fs/caller_scope.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <thread>

#include "tests/fs/without_calls.h"
#include "tests/fs/work_dir.h"

namespace veneer::fs::testing {
namespace {

constexpr auto kNone = static_cast<uint32_t>(-1);  // asks for the identity, and leaves it

class CallerScopes : public ::testing::Test {
 protected:
  CallerScopes() { EXPECT_EQ(chmod(dir_.path().c_str(), 0777), 0); }
  // A new file's owner and mode, as "UID:GID MODE".
  std::string Make() {
    std::string path = dir_ / (std::to_string(getpid()) + "." + std::to_string(++made_));
    UniqueFd fd(open(path.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0777));
    struct stat st = {};
    if (!fd || fstat(fd.get(), &st) != 0) return "none";
    char mode[8];
    snprintf(mode, sizeof mode, "%03o", st.st_mode & 0777);
    return std::to_string(st.st_uid) + ":" + std::to_string(st.st_gid) + " " + mode;
  }
  std::string MakeAs(const Caller& caller) {
    CallerScope scope(caller);
    return Make();
  }
  static bool IsOneself() {
    return static_cast<uid_t>(setfsuid(kNone)) == geteuid() &&
           static_cast<gid_t>(setfsgid(kNone)) == getegid();
  }

  Scratch dir_;
  int made_ = 0;
};

TEST_F(CallerScopes, EachCallerOwnsWhatItMakesWhoeverCameBefore) {
  // Scopes change a thread for good (umask, securebits): not the test's own.
  std::thread([&] {
    for (uid_t before : {0u, 1000u, 2000u}) {
      for (gid_t group_before : {0u, 1000u, 2000u}) {
        for (uid_t uid : {0u, 1000u}) {
          for (gid_t gid : {0u, 1000u}) {
            MakeAs({.uid = before, .gid = group_before, .umask = 022});
            EXPECT_TRUE(IsOneself()) << before << ":" << group_before;
            std::string owner = std::to_string(uid) + ":" + std::to_string(gid);
            EXPECT_EQ(MakeAs({.uid = uid, .gid = gid, .umask = 027}), owner + " 750");
            EXPECT_TRUE(IsOneself()) << owner;
            EXPECT_EQ(Make(), "0:0 750");
          }
        }
      }
    }
  }).join();
}

TEST_F(CallerScopes, WhatIsMadeBetweenThemIsForItsOwnerToUse) {
  std::thread([&] {
    EXPECT_EQ(MakeAs({.uid = 1000, .gid = 1000, .umask = 0777}), "1000:1000 000");
    EXPECT_EQ(Make(), "0:0 777");
    EXPECT_EQ(MakeAs({.uid = 1000, .gid = 1000, .umask = 0777}), "1000:1000 000");
    EXPECT_EQ(MakeAs({.uid = 1000, .gid = 1000, .umask = 0}), "1000:1000 777");
  }).join();
}

TEST_F(CallerScopes, WhatIsSetAlreadyIsNotSetAgain) {
  auto takes_no_call = [&](const std::vector<long>& calls, const Caller& caller) {
    return WithoutCalls(calls, 0, [&] {
      std::string owner = std::to_string(caller.uid) + ":" + std::to_string(caller.gid) + " 755";
      return MakeAs(caller) == owner && MakeAs(caller) == owner;
    });
  };
  EXPECT_TRUE(takes_no_call({SYS_setfsuid, SYS_setfsgid}, {.uid = 0, .gid = 0, .umask = 022}));
  EXPECT_TRUE(takes_no_call({SYS_setfsuid}, {.uid = 0, .gid = 1000, .umask = 022}));
  EXPECT_TRUE(takes_no_call({SYS_setfsgid}, {.uid = 1000, .gid = 0, .umask = 022}));
  EXPECT_FALSE(takes_no_call({SYS_setfsuid}, {.uid = 1000, .gid = 0, .umask = 022}));
}

}  // namespace
}  // namespace veneer::fs::testing
