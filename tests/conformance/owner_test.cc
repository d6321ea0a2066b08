// Who owns what is made, with which mode; setuid and setgid; ACLs; times. What the engine itself
// must do; what the kernel checks is in permission_test.cc.
#include <fcntl.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "tests/conformance/acl.h"
#include "tests/conformance/conformance.h"

namespace veneer::fs::conformance {
namespace {

using testing::MakeDirs;
using testing::WriteFile;

constexpr Caller kRoot = {.uid = 0, .gid = 0, .umask = 022};
constexpr Caller kUser = {.uid = 1000, .gid = 1000, .umask = 022};

class Owner : public Conformance {
 protected:
  void Populate(const std::string& dir) override {
    WriteFile(dir + "/f", "lower");
    MakeDirs(dir + "/shared");
    ASSERT_EQ(chown((dir + "/shared").c_str(), 0, 777), 0);
    ASSERT_EQ(chmod((dir + "/shared").c_str(), 02777), 0);
    ASSERT_EQ(chmod(dir.c_str(), 0777), 0);
    WriteFile(dir + "/suid", "program");
    ASSERT_EQ(chown((dir + "/suid").c_str(), 1000, 1000), 0);
    ASSERT_EQ(chmod((dir + "/suid").c_str(), 06777), 0);
    MakeDirs(dir + "/acl");
    ASSERT_EQ(chmod((dir + "/acl").c_str(), 0777), 0);
    std::string acl = DefaultAcl();
    ASSERT_EQ(
        setxattr((dir + "/acl").c_str(), "system.posix_acl_default", acl.data(), acl.size(), 0), 0);
    WriteFile(dir + "/acl/old", "old");
  }
  static std::string DefaultAcl() {
    return AclText({{Acl::kOwner, 7},
                    {Acl::kUser, 7, 1234},
                    {Acl::kGroup, 5},
                    {Acl::kMask, 7},
                    {Acl::kOther, 0}});
  }
  void TearDown() override {
    fs().Become(kRoot);
    Conformance::TearDown();
  }
};

TEST_P(Owner, OfNewFilesIsWhoMadeThem) {
  fs().Become(kUser);
  Write("mine", "", 0666);
  ASSERT_EQ(Code(fs().MakeDir("shared/dir", 0777)), 0);
  ASSERT_EQ(Code(fs().MakeSymlink("x", "shared/link")), 0);
  ASSERT_EQ(Code(fs().MakeNode("shared/fifo", S_IFIFO | 0666)), 0);
  auto tmp = fs().TmpFile("shared", 0666);
  ASSERT_TRUE(tmp);
  struct stat mine = Stat("mine");
  EXPECT_EQ(mine.st_uid, 1000u);
  EXPECT_EQ(mine.st_gid, 1000u);
  EXPECT_EQ(mine.st_mode & 07777, 0644u);
  struct stat dir = Stat("shared/dir");
  EXPECT_EQ(dir.st_uid, 1000u);
  EXPECT_EQ(dir.st_gid, 777u) << "setgid directories give their group";
  EXPECT_EQ(dir.st_mode & 07777, 02755u);
  EXPECT_EQ(Stat("shared/link").st_gid, 777u);
  EXPECT_EQ(Stat("shared/fifo").st_gid, 777u);
  EXPECT_EQ((*tmp)->Stat()->st_gid, 777u);
  EXPECT_EQ((*tmp)->Stat()->st_uid, 1000u);
}

TEST_P(Owner, UmaskIsTheCallers) {
  for (mode_t mask : {0U, 027U, 077U, 0777U}) {
    fs().Become({.uid = 0, .gid = 0, .umask = mask});
    std::string name = std::to_string(mask);
    Write("f" + name, "", 0666);
    ASSERT_EQ(Code(fs().MakeDir("d" + name, 0777)), 0);
    ASSERT_EQ(Code(fs().MakeNode("p" + name, S_IFIFO | 0666)), 0);
    EXPECT_EQ(Mode("f" + name), 0666 & ~mask);
    EXPECT_EQ(Mode("d" + name), 0777 & ~mask);
    EXPECT_EQ(Mode("p" + name), 0666 & ~mask);
    auto tmp = fs().TmpFile("", 0666);
    ASSERT_TRUE(tmp);
    EXPECT_EQ((*tmp)->Stat()->st_mode & 07777, 0666 & ~mask);
  }
}

TEST_P(Owner, DefaultAclReplacesTheUmask) {
  ASSERT_EQ(Code(fs().Unlink("acl/old")), 0);
  fs().Become({.uid = 0, .gid = 0, .umask = 077});
  Write("acl/new", "", 0666);
  Write("acl/old", "", 0666);  // over a whiteout
  ASSERT_EQ(Code(fs().MakeDir("acl/dir", 0777)), 0);
  for (int round = 0; round < 2; ++round) {
    for (const char* name : {"acl/new", "acl/old"}) {
      EXPECT_EQ(Mode(name), 0660u) << name;
      EXPECT_EQ(Xattr(name, "system.posix_acl_access"), AclText({{Acl::kOwner, 6},
                                                                 {Acl::kUser, 7, 1234},
                                                                 {Acl::kGroup, 5},
                                                                 {Acl::kMask, 6},
                                                                 {Acl::kOther, 0}}))
          << name;
    }
    EXPECT_EQ(Xattr("acl/dir", "system.posix_acl_default"), DefaultAcl());
    EXPECT_EQ(Mode("acl/dir"), 0770u);
    Remount();
  }
  Write("acl/dir/deeper", "", 0600);
  EXPECT_EQ(Mode("acl/dir/deeper"), 0600u);
  EXPECT_FALSE(Xattr("acl/dir/deeper", "system.posix_acl_access").empty());
}

TEST_P(Owner, ChmodChangesTheMaskOfAnAcl) {
  std::string acl = AclText({{Acl::kOwner, 6},
                             {Acl::kUser, 7, 1234},
                             {Acl::kGroup, 5},
                             {Acl::kMask, 7},
                             {Acl::kOther, 0}});
  ASSERT_EQ(Code(fs().SetXattr("f", "system.posix_acl_access", acl)), 0);
  EXPECT_EQ(Mode("f"), 0670u) << "the mask is the group's mode";
  ASSERT_EQ(Code(fs().Chmod("f", 0640)), 0);
  for (int round = 0; round < 2; ++round) {
    EXPECT_EQ(Mode("f"), 0640u);
    EXPECT_EQ(Xattr("f", "system.posix_acl_access"), AclText({{Acl::kOwner, 6},
                                                              {Acl::kUser, 7, 1234},
                                                              {Acl::kGroup, 5},
                                                              {Acl::kMask, 4},
                                                              {Acl::kOther, 0}}));
    Remount();
  }
  ASSERT_EQ(Code(fs().RemoveXattr("f", "system.posix_acl_access")), 0);
  EXPECT_EQ(Xattr("f", "system.posix_acl_access"), "");
  ASSERT_EQ(Code(fs().SetXattr("f", "system.posix_acl_access",
                               AclText({{Acl::kOwner, 6}, {Acl::kGroup, 4}, {Acl::kOther, 4}}))),
            0);
  EXPECT_EQ(Mode("f"), 0644u);
  EXPECT_EQ(Xattr("f", "system.posix_acl_access"), "") << "it is nothing but the mode";
}

TEST_P(Owner, WritingClearsSetuid) {
  auto again = [&] { ASSERT_EQ(Code(fs().Chmod("suid", 06777)), 0); };
  Append("suid", "by root");
  EXPECT_EQ(Mode("suid"), 06777u);
  fs().Become({.uid = 2000, .gid = 2000, .umask = 022});
  Append("suid", "x");
  EXPECT_EQ(Mode("suid"), 0777u);
  fs().Become(kRoot);
  again();
  fs().Become({.uid = 2000, .gid = 2000, .umask = 022});
  ASSERT_EQ(Code(fs().Truncate("suid", 2)), 0);
  EXPECT_EQ(Mode("suid"), 0777u);
  fs().Become(kRoot);
  again();
  fs().Become({.uid = 2000, .gid = 2000, .umask = 022});
  Open("suid", O_WRONLY | O_TRUNC);
  EXPECT_EQ(Mode("suid"), 0777u);
}

TEST_P(Owner, EveryOtherWayOfWritingClearsSetuid) {
  using Change = std::function<bool(File&)>;
  const std::pair<const char*, Change> changes[] = {
      {"fallocate", [](File& file) { return file.Allocate(0, 0, 100).has_value(); }},
      {"copy_file_range", [](File& file) { return file.CopyTo(file, 0, 50, 4).has_value(); }},
      {"ftruncate", [](File& file) { return file.Truncate(20).has_value(); }},
      {"write", [](File& file) { return file.Write("x", 0).has_value(); }}};
  for (const auto& [name, change] : changes) {
    ASSERT_EQ(Code(fs().Chmod("suid", 06777)), 0);
    fs().Become({.uid = 2000, .gid = 2000, .umask = 022});
    FilePtr file = Open("suid", O_RDWR);
    EXPECT_TRUE(change(*file)) << name;
    EXPECT_EQ(Mode("suid"), 0777u) << name;
    fs().Become(kRoot);
  }
}

TEST_P(Owner, ChownClearsSetuid) {
  ASSERT_EQ(Code(fs().Chmod("suid", 06755)), 0);
  ASSERT_EQ(Code(fs().Chown("suid", 5, 5)), 0);
  EXPECT_EQ(Mode("suid"), 0755u);
  ASSERT_EQ(Code(fs().Chmod("suid", 02745)), 0);
  ASSERT_EQ(Code(fs().Chown("suid", 6, 6)), 0);
  EXPECT_EQ(Mode("suid"), 02745u) << "without group execution it is mandatory locking's mark";
  ASSERT_EQ(Code(fs().MakeNode("pipe", S_IFIFO | 0777, 0)), 0);
  ASSERT_EQ(Code(fs().Chmod("pipe", 06777)), 0);
  ASSERT_EQ(Code(fs().Chown("pipe", 5, 5)), 0);
  EXPECT_EQ(Mode("pipe"), 0777u) << "of whatever is not a directory";
  ASSERT_EQ(Code(fs().Chown("shared", 6, 6)), 0);
  EXPECT_EQ(Mode("shared"), 02777u) << "not of directories";
}

// The copy gets its owner first, or that would take its capabilities away.
TEST_P(Owner, CopyUpKeepsSetuidAndCapabilitiesAndWritingTakesThem) {
  const std::string capability("\1\0\0\2\0\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20);
  ASSERT_EQ(Code(fs().SetXattr("suid", "security.capability", capability)), 0);
  Remount();
  EXPECT_EQ(Mode("suid"), 06777u);
  ASSERT_EQ(Code(fs().Chmod("suid", 0700)), 0);
  EXPECT_FALSE(Xattr("suid", "security.capability").empty());
  Open("suid", O_RDWR);
  EXPECT_FALSE(Xattr("suid", "security.capability").empty());
  Append("suid", "x");
  EXPECT_EQ(Xattr("suid", "security.capability"), "");
}

TEST_P(Owner, TimesHaveNanoseconds) {
  ASSERT_EQ(Code(fs().SetTimes("f", {1234567890, 123456789}, {987654321, 987654321})), 0);
  ASSERT_EQ(Code(fs().MakeSymlink("f", "s")), 0);
  ASSERT_EQ(Code(fs().SetTimes("s", {5, 6}, {7, 8})), 0);
  for (int round = 0; round < 2; ++round) {
    EXPECT_EQ(Stat("f").st_atim.tv_sec, 1234567890);
    EXPECT_EQ(Stat("f").st_atim.tv_nsec, 123456789);
    EXPECT_EQ(Stat("f").st_mtim.tv_sec, 987654321);
    EXPECT_EQ(Stat("f").st_mtim.tv_nsec, 987654321);
    EXPECT_EQ(Stat("s").st_mtim.tv_nsec, 8);
    Remount();
  }
  ASSERT_EQ(Code(fs().SetTimes("f", {0, UTIME_OMIT}, {-5, 1})), 0);
  EXPECT_EQ(Stat("f").st_atim.tv_sec, 1234567890);
  EXPECT_EQ(Stat("f").st_mtim.tv_sec, -5) << "before 1970";
  ASSERT_EQ(Code(fs().SetTimes("f", {0, UTIME_NOW}, {0, UTIME_OMIT})), 0);
  EXPECT_GT(Stat("f").st_atim.tv_sec, 1600000000);
  EXPECT_EQ(Stat("f").st_mtim.tv_sec, -5);
}

TEST_P(Owner, ChangesShowInTheTimesOfAFile) {
  auto age = [&] { ASSERT_EQ(Code(fs().SetTimes("f", {1000, 0}, {1000, 0})), 0); };
  age();
  struct stat before = Stat("f");
  Append("f", "x");
  EXPECT_GT(Stat("f").st_mtim.tv_sec, 1000) << "write";
  age();
  ASSERT_EQ(Code(fs().Truncate("f", 3)), 0);
  EXPECT_GT(Stat("f").st_mtim.tv_sec, 1000) << "truncate";
  age();
  Open("f", O_WRONLY | O_TRUNC);
  EXPECT_GT(Stat("f").st_mtim.tv_sec, 1000) << "O_TRUNC";
  age();
  ASSERT_EQ(Code(fs().Chmod("f", 0600)), 0);
  EXPECT_EQ(Stat("f").st_mtim.tv_sec, 1000) << "chmod";
  EXPECT_GE(Stat("f").st_ctim.tv_sec, before.st_ctim.tv_sec);
}

// A lower's own times, before anything changes.
TEST_P(Owner, TimesOfTheLowerShow) {
  struct stat st = Stat("f");
  EXPECT_GT(st.st_mtim.tv_sec, 1600000000);
  if (Differs(Difference::kStoreTimes)) {
    EXPECT_EQ(st.st_ctim.tv_nsec, st.st_mtim.tv_nsec);
  } else {
    EXPECT_GE(st.st_ctim.tv_sec, st.st_mtim.tv_sec);
  }
}

VENEER_CONFORMANCE(Owner);

}  // namespace
}  // namespace veneer::fs::conformance
