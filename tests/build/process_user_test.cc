// USER in an image's accounts, as BuildKit reads them.
#include "tools/build/run/process_user.h"

#include <gtest/gtest.h>

#include "tests/build/run_fixture.h"

namespace veneer::build {
namespace {

struct ProcessUsers : testing::Test {
  void SetUp() override {
    root.File("etc/passwd",
              "root:x:0:0::/root:\napp:x:1000:1001::/home/app:\nhomeless:x:5:6:::\n"
              "huge:x:3000000000:1::/:\n");
    root.File("etc/group", "root:x:0:\nbin:x:1:root,app\napp:x:1001:app\nvideo:x:27:app\n");
  }

  // "uid gid groups home", or the error.
  std::string Of(const std::string& user) {
    const auto found = ResolveUser(root.Open().get(), user);
    if (!found) return found.error().Message();
    std::string out = std::to_string(found->uid) + " " + std::to_string(found->gid) + " ";
    for (const uint32_t group : found->groups) out += std::to_string(group) + ",";
    return out + " " + found->home;
  }

  test::RunDirectory root;
};

TEST_F(ProcessUsers, AnAccountGivesGroupsAndHome) {
  EXPECT_EQ(Of(""), "0 0 0,1, /root");
  EXPECT_EQ(Of("root"), "0 0 0,1, /root");
  EXPECT_EQ(Of("app"), "1000 1001 1001,1,27, /home/app");
  EXPECT_EQ(Of("1000"), "1000 1001 1001,1,27, /home/app");
  EXPECT_EQ(Of("homeless"), "5 6 6, /");
}

TEST_F(ProcessUsers, AnExplicitGroupIsTheOnlyOne) {
  EXPECT_EQ(Of("app:video"), "1000 27 27, /home/app");
  EXPECT_EQ(Of("app:5"), "1000 5 5, /home/app");
  EXPECT_EQ(Of("1000:1000"), "1000 1000 1000, /home/app");
  EXPECT_EQ(Of(":video"), "0 27 27, /root");
  EXPECT_EQ(Of("app:video:more"), "1000 27 27, /home/app");
  EXPECT_EQ(Of("app:"), "1000 1001 1001,1,27, /home/app");
}

TEST_F(ProcessUsers, AUidNeedsNoAccount) {
  EXPECT_EQ(Of("77"), "77 0 0, /");
  EXPECT_EQ(Of("77:88"), "77 88 88, /");
  EXPECT_EQ(Of("77:video"), "77 27 27, /");
}

TEST_F(ProcessUsers, ErrorsAreSentences) {
  EXPECT_EQ(Of("nobody"), "unable to find user nobody: no matching entries in passwd file");
  EXPECT_EQ(Of("app:none"), "unable to find group none: no matching entries in group file");
  EXPECT_EQ(Of("3000000000"), "uids and gids must be in range 0-2147483647");
  EXPECT_EQ(Of("99999999999999999999"), "uids and gids must be in range 0-2147483647");
  EXPECT_EQ(Of("1:3000000000"), "uids and gids must be in range 0-2147483647");
  EXPECT_EQ(Of("huge"), "uids and gids must be in range 0-2147483647");
}

TEST_F(ProcessUsers, WithoutAccountsThereIsRootAndNumbers) {
  std::filesystem::remove_all(root.At("etc"));
  EXPECT_EQ(Of(""), "0 0 0, /");
  EXPECT_EQ(Of("1000"), "1000 0 0, /");
  EXPECT_EQ(Of("root"), "unable to find user root: no matching entries in passwd file");
  // What is no file of accounts is nobody's fault but the user's who asks for one.
  root.Dir("etc/passwd");
  EXPECT_EQ(Of(""), "0 0 0, /");
  EXPECT_TRUE(Of("app").starts_with("cannot read etc/passwd of the image: ")) << Of("app");
}

TEST_F(ProcessUsers, AccountsAreNotTheHosts) {
  std::filesystem::remove(root.At("etc/passwd"));
  root.Link("etc/passwd", "/proc/self/root/etc/passwd");
  EXPECT_EQ(Of("daemon"), "unable to find user daemon: no matching entries in passwd file");
}

}  // namespace
}  // namespace veneer::build
