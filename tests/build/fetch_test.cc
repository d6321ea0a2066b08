#include "tools/build/fetch.h"

#include <gtest/gtest.h>

namespace veneer::build {
namespace {

TEST(ParseGitSource, TheUrlSaysWhetherGitDirStays) {
  const auto keeps = [](const char* text, std::optional<bool> otherwise) {
    return ParseGitSource(text, otherwise)->keep_git_dir;
  };
  EXPECT_EQ(keeps("https://h/r.git", std::nullopt), std::nullopt);
  EXPECT_EQ(keeps("https://h/r.git", true), true);
  EXPECT_EQ(keeps("https://h/r.git#main:sub", true), true);
  EXPECT_EQ(keeps("https://h/r.git?keep-git-dir=false", true), false);
  EXPECT_EQ(keeps("https://h/r.git?keep-git-dir=1", false), true);
}

}  // namespace
}  // namespace veneer::build
