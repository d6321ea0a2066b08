// The key of a COPY: what it depends on, and what not.
#include <filesystem>

#include "tests/build/copy_fixture.h"

namespace veneer::build::test {
namespace {

class CopyKeys : public CopyTest {
 protected:
  void SetUp() override {
    CopyTest::SetUp();
    File("d/a", "one");
    File("d/b", "two", 0755);
    Link("d/l", "a");
    spec_ = Copy({"d"}, "/x");
    key_ = KeyOf(spec_);
  }
  // After something was done to the context.
  Digest Now() { return KeyOf(spec_); }

  CopySpec spec_;
  Digest key_;
};

TEST_F(CopyKeys, TimesAndTheHostDoNotMatter) {
  SetTime("d/a", 5000);
  SetTime("d", 6000);
  EXPECT_EQ(Now(), key_);
  const std::string moved = base_ + "/elsewhere";
  std::filesystem::rename(context_, moved);
  const auto from = veneer::test::Must(OpenDirectorySource(moved, nullptr));
  EXPECT_EQ(KeyOf(From(*from, {"d"}, "/x")), key_);
  EXPECT_EQ(KeyOf(From(*from, {"./d/"}, "/x")), key_);
}

TEST_F(CopyKeys, TheOrderInWhichADirectoryIsListedDoesNotMatter) {
  for (const char* name : {"z", "m", "c"}) File(std::string("e/") + name, name);
  const Digest key = KeyOf(Copy({"e"}, "/x"));
  std::filesystem::remove_all(context_ + "/e");
  for (const char* name : {"c", "z", "m"}) File(std::string("e/") + name, name);
  EXPECT_EQ(KeyOf(Copy({"e"}, "/x")), key);
}

TEST_F(CopyKeys, TheModeOfADirectoryThatGivesItsContentDoesNotMatter) {
  Folder("d", 0700);
  EXPECT_EQ(Now(), key_);
}

TEST_F(CopyKeys, ContentsNamesAndModesMatter) {
  File("d/a", "One");
  EXPECT_NE(Now(), key_);
  File("d/a", "one", 0600);
  EXPECT_NE(Now(), key_);
  File("d/a", "one");
  EXPECT_EQ(Now(), key_);
  std::filesystem::rename(context_ + "/d/b", context_ + "/d/c");
  EXPECT_NE(Now(), key_);
}

TEST_F(CopyKeys, TypesTargetsAndLinksMatter) {
  std::filesystem::remove(context_ + "/d/l");
  Link("d/l", "b");
  EXPECT_NE(Now(), key_);
  std::filesystem::remove(context_ + "/d/l");
  File("d/l", "a", 0777);
  const Digest copy = Now();
  EXPECT_NE(copy, key_);
  std::filesystem::remove(context_ + "/d/b");
  File("d/b", "one");
  const Digest separate = Now();
  std::filesystem::remove(context_ + "/d/b");
  std::filesystem::create_hard_link(context_ + "/d/a", context_ + "/d/b");
  EXPECT_NE(Now(), separate);
}

TEST_F(CopyKeys, XattrsMatter) {
  ASSERT_EQ(setxattr((context_ + "/d/a").c_str(), "user.k", "v", 1, 0), 0);
  EXPECT_NE(Now(), key_);
}

TEST_F(CopyKeys, WhereAFileIsDoesNotMatterButItsNameDoes) {
  File("e/a", "one");
  File("e/other", "one");
  EXPECT_EQ(KeyOf(Copy({"e/a"}, "/x")), KeyOf(Copy({"d/a"}, "/x")));
  EXPECT_NE(KeyOf(Copy({"e/other"}, "/x")), KeyOf(Copy({"d/a"}, "/x")));
}

TEST_F(CopyKeys, WhatIsLeftOutDoesNotMatter) {
  spec_.exclude = {"b"};
  const Digest without = Now();
  EXPECT_NE(without, key_);
  File("d/b", "changed");
  EXPECT_EQ(Now(), without);
}

TEST_F(CopyKeys, HowItIsCopiedMatters) {
  std::vector<Digest> keys = {key_};
  const auto differs = [&](CopySpec spec) {
    const Digest key = KeyOf(std::move(spec));
    EXPECT_THAT(keys, ::testing::Not(::testing::Contains(key)));
    keys.push_back(key);
  };
  CopySpec spec = spec_;
  spec.destination = "/y";
  differs(spec);
  spec.destination = "/x/";
  differs(spec);
  spec = spec_;
  spec.chown = "0";
  differs(spec);
  spec.chown = "5:6";
  differs(spec);
  spec.chown = "6:5";
  differs(spec);
  spec = spec_;
  spec.chmod = "755";
  differs(spec);
  spec = spec_;
  spec.link = true;
  differs(spec);
  spec = spec_;
  spec.parents = true;
  differs(spec);
  spec = spec_;
  spec.sources = {"d", "d"};
  differs(spec);
}

TEST_F(CopyKeys, NamesOfOwnersAreWhatTheyStandFor) {
  const Chain chain = MakeChain({{{"etc/passwd", "app:x:5:6::/:\n"}}});
  CopySpec by_name = spec_;
  by_name.chown = "app";
  CopySpec by_number = spec_;
  by_number.chown = "5:6";
  EXPECT_EQ(KeyOf(by_name, chain), KeyOf(by_number));
}

TEST_F(CopyKeys, ADirectoryAndAChainOfTheSameFilesHaveOneKey) {
  const Chain image = MakeChain({{{"d/"},
                                  {"d/a", "one"},
                                  {"d/b", "two", 0755},
                                  {.path = "d/l", .mode = 0777, .symlink = "a"}}});
  const auto from = OpenChainSource(store(), image);
  EXPECT_EQ(KeyOf(From(*from, {"d"}, "/x")), key_);
}

TEST_F(CopyKeys, WhatUnpackingDoesMatters) {
  File("t.tar", Tar({{"a", "one"}}));
  EXPECT_NE(KeyOf(Copy({"t.tar"}, "/x/")), KeyOf(Add({"t.tar"}, "/x/")));
  EXPECT_EQ(KeyOf(Copy({"d/a"}, "/x/")), KeyOf(Add({"d/a"}, "/x/")));
}

}  // namespace
}  // namespace veneer::build::test
