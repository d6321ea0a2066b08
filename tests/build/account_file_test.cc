// /etc/passwd and /etc/group of an image.
#include "tools/build/run/account_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace veneer::build {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr const char* kPasswd =
    "root:x:0:0:root:/root:/bin/sh\n"
    "# app:x:1:1::/nowhere:\n"
    "\n"
    "  app:x:1000:1001:The App:/home/app:/bin/sh  \n"
    "twin:x:1000:7:The other:/home/twin:/bin/sh\n"
    "app:x:5:5::/second:\n"
    "slip:x::0::/slip:\n"
    "word:x:one:1::/word:\n"
    "nohome:x:8:9\r\n"
    "12:x:2000:2000::/digits:\n"
    "last:x:44:45:::";

TEST(AccountFile, FindsTheFirstAccountOfAName) {
  const auto app = FindAccount(kPasswd, "app");
  ASSERT_TRUE(app);
  EXPECT_EQ(app->uid, 1000U);
  EXPECT_EQ(app->gid, 1001U);
  EXPECT_EQ(app->home, "/home/app");
  EXPECT_EQ(FindAccount(kPasswd, "last")->gid, 45U);
  EXPECT_EQ(FindAccount(kPasswd, "nohome")->gid, 9U);
  EXPECT_EQ(FindAccount(kPasswd, "nohome")->home, "");
  EXPECT_FALSE(FindAccount(kPasswd, "ap"));
  EXPECT_FALSE(FindAccount(kPasswd, "#"));
  EXPECT_FALSE(FindAccount("", "root"));
}

TEST(AccountFile, ANumberIsAUidAndNoName) {
  EXPECT_EQ(FindAccount(kPasswd, "1000")->name, "app");
  EXPECT_EQ(FindAccount(kPasswd, "2000")->name, "12");
  EXPECT_FALSE(FindAccount(kPasswd, "12"));
}

TEST(AccountFile, AnAccountWithoutNumbersIsNobodyRatherThanRoot) {
  EXPECT_FALSE(FindAccount(kPasswd, "slip"));
  EXPECT_FALSE(FindAccount(kPasswd, "word"));
  EXPECT_EQ(FindAccount("slip:x::0::/:\nslip:x:3:4::/:\n", "slip")->uid, 3U);
}

constexpr const char* kGroup =
    "root:x:0:\n"
    "wheel:x:10:root,app\n"
    "video:x:27:app\n"
    "bad:x:many:app\n"
    "apple:x:30:apple,xapp,app2\n"
    "tail:x:31:twin,app";

TEST(AccountFile, FindsGroups) {
  EXPECT_EQ(FindGroup(kGroup, "wheel"), 10U);
  EXPECT_EQ(FindGroup(kGroup, "tail"), 31U);
  EXPECT_FALSE(FindGroup(kGroup, "bad"));
  EXPECT_FALSE(FindGroup(kGroup, "10"));
}

TEST(AccountFile, FindsTheGroupsOfAMemberInOrder) {
  EXPECT_THAT(GroupsOf(kGroup, "app"), ElementsAre(10, 27, 31));
  EXPECT_THAT(GroupsOf(kGroup, "root"), ElementsAre(10));
  EXPECT_THAT(GroupsOf(kGroup, "nobody"), IsEmpty());
}

TEST(AccountFile, IdsAreDecimalAndFit) {
  EXPECT_EQ(ParseId("0"), 0U);
  EXPECT_EQ(ParseId("0123"), 123U);
  EXPECT_EQ(ParseId("4294967294"), 4294967294U);
  for (const char* bad : {"", "4294967295", "4294967296", "99999999999999999999", "-1", "+1", "1 ",
                          " 1", "0x1", "1a"}) {
    EXPECT_FALSE(ParseId(bad)) << bad;
  }
}

}  // namespace
}  // namespace veneer::build
