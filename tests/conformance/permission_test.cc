// Permissions are the kernel's, on what the engine shows: of lower files before and after their
// copy-up alike.
#include <fcntl.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "tests/conformance/acl.h"
#include "tests/conformance/conformance.h"

namespace veneer::fs::conformance {
namespace {

using testing::MakeDirs;
using testing::WriteFile;

class Permission : public KernelConformance {
 protected:
  void Populate(const std::string& dir) override {
    ASSERT_EQ(chmod(dir.c_str(), 0777), 0);
    WriteFile(dir + "/f", "lower");
    ASSERT_EQ(chown((dir + "/f").c_str(), 1000, 1000), 0);
    ASSERT_EQ(chmod((dir + "/f").c_str(), 0640), 0);
    WriteFile(dir + "/acl", "lower");
    std::string acl = AclText({{Acl::kOwner, 6},
                               {Acl::kUser, 4, 2000},
                               {Acl::kGroup, 0},
                               {Acl::kMask, 4},
                               {Acl::kOther, 0}});
    ASSERT_EQ(
        setxattr((dir + "/acl").c_str(), "system.posix_acl_access", acl.data(), acl.size(), 0), 0);
    MakeDirs(dir + "/sticky");
    ASSERT_EQ(chmod((dir + "/sticky").c_str(), 01777), 0);
    WriteFile(dir + "/sticky/theirs", "");
    ASSERT_EQ(chown((dir + "/sticky/theirs").c_str(), 1000, 1000), 0);
    MakeDirs(dir + "/closed/inside");
    ASSERT_EQ(chmod((dir + "/closed").c_str(), 0700), 0);
  }
  // The errno of opening `name` as `user`, or 0.
  int Opening(uid_t user, const std::string& name, int flags) {
    return AsUser(user, [&] { return open(At(name).c_str(), flags | O_CLOEXEC) < 0 ? errno : 0; });
  }
};

TEST_P(Permission, OfFilesIsByModeAndOwner) {
  for (int round = 0; round < 2; ++round) {
    EXPECT_EQ(Opening(1000, "f", O_RDONLY), 0);
    EXPECT_EQ(Opening(2000, "f", O_RDONLY), EACCES);
    ASSERT_EQ(chown(At("f").c_str(), 1000, 2000), 0);  // copied up from here on
    EXPECT_EQ(Opening(2000, "f", O_RDONLY), 0);
    EXPECT_EQ(Opening(2000, "f", O_RDWR), EACCES);
    ASSERT_EQ(chown(At("f").c_str(), 1000, 1000), 0);
  }
  EXPECT_EQ(Opening(1000, "f", O_RDWR), 0);
  EXPECT_EQ(AsUser(2000, [&] { return chmod(At("f").c_str(), 0777) != 0 ? errno : 0; }), EPERM);
  EXPECT_EQ(AsUser(1000, [&] { return chown(At("f").c_str(), 2000, -1) != 0 ? errno : 0; }), EPERM);
  EXPECT_EQ(AsUser(2000, [&] { return truncate(At("f").c_str(), 0) != 0 ? errno : 0; }), EACCES);
  EXPECT_EQ(
      AsUser(2000,
             [&] { return utimensat(AT_FDCWD, At("f").c_str(), nullptr, 0) != 0 ? errno : 0; }),
      EACCES);
}

TEST_P(Permission, OfDirectoriesIsSearchAndWrite) {
  auto below = [&] { return access(At("closed/inside").c_str(), F_OK) != 0 ? errno : 0; };
  EXPECT_EQ(AsUser(1000, below), EACCES);
  ASSERT_EQ(chmod(At("closed").c_str(), 0711), 0);
  EXPECT_EQ(AsUser(1000, below), 0);
  auto list = [&] {
    return open(At("closed").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC) < 0 ? errno : 0;
  };
  EXPECT_EQ(AsUser(1000, list), EACCES);
  auto create = [&] { return mkdir(At("closed/new").c_str(), 0755) != 0 ? errno : 0; };
  EXPECT_EQ(AsUser(1000, create), EACCES);
  auto remove = [&] { return rmdir(At("closed/inside").c_str()) != 0 ? errno : 0; };
  EXPECT_EQ(AsUser(1000, remove), EACCES);
  ASSERT_EQ(chmod(At("closed").c_str(), 0777), 0);
  EXPECT_EQ(AsUser(1000, create), 0);
  EXPECT_EQ(AsUser(1000, remove), 0);
}

TEST_P(Permission, OfAnAclCountsForThoseItNames) {
  for (int round = 0; round < 2; ++round) {
    EXPECT_EQ(Opening(2000, "acl", O_RDONLY), 0);
    EXPECT_EQ(Opening(2000, "acl", O_RDWR), EACCES);
    EXPECT_EQ(Opening(3000, "acl", O_RDONLY), EACCES);
    testing::AppendFile(At("acl"), "copied up");
  }
  ASSERT_EQ(chmod(At("acl").c_str(), 0600), 0);  // closes the mask
  EXPECT_EQ(Opening(2000, "acl", O_RDONLY), EACCES);
  Remount();
  EXPECT_EQ(Opening(2000, "acl", O_RDONLY), EACCES);
}

TEST_P(Permission, InStickyDirectoriesIsTheOwners) {
  auto remove = [&] { return unlink(At("sticky/theirs").c_str()) != 0 ? errno : 0; };
  auto move = [&] {
    return rename(At("sticky/theirs").c_str(), At("taken").c_str()) != 0 ? errno : 0;
  };
  auto replace = [&] {
    int fd = open(At("sticky/mine").c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
    if (fd < 0) return errno;
    return rename(At("sticky/mine").c_str(), At("sticky/theirs").c_str()) != 0 ? errno : 0;
  };
  EXPECT_EQ(AsUser(2000, remove), EPERM);
  EXPECT_EQ(AsUser(2000, move), EPERM);
  EXPECT_EQ(AsUser(2000, replace), EPERM);
  EXPECT_EQ(AsUser(1000, remove), 0);
}

TEST_P(Permission, SetgidIsForMembersOfTheGroup) {
  ASSERT_EQ(chown(At("f").c_str(), 1000, 777), 0);
  EXPECT_EQ(AsUser(1000, [&] { return chmod(At("f").c_str(), 02755) != 0 ? errno : 0; }), 0);
  EXPECT_EQ(Mode("f"), 0755u);
  ASSERT_EQ(chown(At("f").c_str(), 1000, 1000), 0);
  EXPECT_EQ(AsUser(1000, [&] { return chmod(At("f").c_str(), 02755) != 0 ? errno : 0; }), 0);
  EXPECT_EQ(Mode("f"), 02755u);
}

TEST_P(Permission, AclByAnOutsiderOfTheGroupClearsSetgid) {
  std::string acl = AclText({{Acl::kOwner, 7}, {Acl::kGroup, 5}, {Acl::kOther, 5}});
  auto set = [&] {
    return setxattr(At("f").c_str(), "system.posix_acl_access", acl.data(), acl.size(), 0) != 0
               ? errno
               : 0;
  };
  ASSERT_EQ(chmod(At("f").c_str(), 02755), 0);
  ASSERT_EQ(AsUser(1000, set), 0);
  EXPECT_EQ(Mode("f"), 02755u);
  ASSERT_EQ(chown(At("f").c_str(), 1000, 777), 0);
  ASSERT_EQ(chmod(At("f").c_str(), 02755), 0);
  ASSERT_EQ(set(), 0);
  EXPECT_EQ(Mode("f"), 02755u);
  ASSERT_EQ(AsUser(1000, set), 0);
  EXPECT_EQ(Mode("f"), 0755u);
}

TEST_P(Permission, ChownToNobodyElseStillClearsSetuid) {
  ASSERT_EQ(chmod(At("f").c_str(), 06755), 0);
  EXPECT_EQ(AsUser(1000, [&] { return chown(At("f").c_str(), -1, -1) != 0 ? errno : 0; }), 0);
  EXPECT_EQ(Mode("f"), 0755u);
}

TEST_P(Permission, ExecutionRunsWhatIsThereNow) {
  WriteFile(At("run"), "#!/bin/sh\nexit 7\n", 0755);
  EXPECT_EQ(AsUser(1000,
                   [&] {
                     execl(At("run").c_str(), "run", nullptr);
                     return 1;
                   }),
            7);
  ASSERT_EQ(chmod(At("run").c_str(), 0644), 0);
  EXPECT_EQ(AsUser(1000,
                   [&] {
                     execl(At("run").c_str(), "run", nullptr);
                     return errno;
                   }),
            EACCES);
}

VENEER_KERNEL_CONFORMANCE(Permission);

}  // namespace
}  // namespace veneer::fs::conformance
