// .dockerignore and Go's globs.
#include "tools/build/language/ignore_file.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tools/build/language/go_glob.h"

namespace veneer::build {
namespace {

struct Case {
  std::vector<std::string> patterns;
  std::string path;
  bool want;
};

TEST(IgnoreFile, TheLastPatternThatMatchesDecides) {
  const std::vector<Case> cases = {
      {{"a"}, "a", true},
      {{"a"}, "a/b/c", true},
      {{"a"}, "b/a", false},
      {{"a"}, "ab", false},
      {{"*"}, "a", true},
      {{"*"}, "a/b", true},
      {{"*.go"}, "a.go", true},
      {{"*.go"}, "b/a.go", false},
      {{"**/*.go"}, "a.go", true},
      {{"**/*.go"}, "b/c/a.go", true},
      {{"**"}, "a/b", true},
      {{"**/a"}, "a", true},
      {{"**/a"}, "b/c/a", true},
      {{"**/a"}, "b/ca", false},
      {{"**a"}, "b/ca", true},
      {{"**.log"}, "x/y.log", true},
      {{"a/**"}, "a/b/c", true},
      {{"a/**"}, "a", false},
      {{"a/**"}, "ab", false},
      {{"a**"}, "ab/c", true},
      {{"a/**/b"}, "a/b", true},
      {{"a/**/b"}, "a/x/y/b", true},
      {{"a/**/b"}, "a/xb", false},
      {{"a/**/b"}, "a/x/b/c", true},
      {{"**/a/**"}, "x/a/b", true},
      {{"**/a/**"}, "x/a", false},
      {{"a/*/c"}, "a/b/c", true},
      {{"a/*/c"}, "a/b/b/c", false},
      {{"?"}, "a", true},
      {{"?"}, "ab", false},
      {{"?"}, "\u00e9", true},
      {{"[ab]c"}, "bc", true},
      {{"[^ab]c"}, "bc", false},
      {{"[a-c]x"}, "bx", true},
      {{"a\\*"}, "a*", true},
      {{"a\\*"}, "ab", false},
      {{"a.b"}, "axb", false},
      {{"a+(b)|$"}, "a+(b)|$", true},
      {{"*", "!a"}, "a", false},
      {{"*", "!a"}, "b", true},
      {{"*", "!a"}, "a/b", false},
      {{"a", "!a/b"}, "a/b", false},
      {{"a", "!a/b"}, "a/c", true},
      {{"!a", "a"}, "a", true},
      {{"a", "!a/b", "a/b/c"}, "a/b/c", true},
      {{"*.md", "!README*.md", "README-secret.md"}, "README-secret.md", true},
      {{"*.md", "!README*.md"}, "README-x.md", false},
      {{"  a  "}, "a", true},
      {{"a/"}, "a", true},
      {{"./a"}, "a", true},
      {{"a//b/../c"}, "a/c", true},
  };
  for (const Case& c : cases) {
    const Result<IgnoreMatcher> matcher = IgnoreMatcher::Parse(c.patterns);
    ASSERT_TRUE(matcher) << c.patterns[0];
    EXPECT_EQ(matcher->Ignores(c.path), c.want) << c.patterns[0] << " on " << c.path;
  }
}

TEST(IgnoreFile, RefusesWhatIsNoPattern) {
  EXPECT_EQ(IgnoreMatcher::Parse({"!"}).error().Message(), "illegal exclusion pattern: \"!\"");
  for (const char* pattern : {"[", "[]a]", "[a-]", "[-a]", "[a", "a\\", "[^]", "[a-"})
    EXPECT_FALSE(IgnoreMatcher::Parse({pattern})) << pattern;
}

TEST(IgnoreFile, ReadsLines) {
  EXPECT_EQ(
      ReadIgnorePatterns("\xEF\xBB\xBF/a\n#b\n # c \n\n  d/ \r\n! /e\n!\n/\n./f\n../g\nh\\ \n"),
      (std::vector<std::string>{"a", "# c", "d", "!e", "!", "/", "f", "../g", "h\\"}));
}

TEST(IgnoreFile, KnowsWhatItIs) {
  EXPECT_TRUE(IgnoreMatcher::Parse({"a", "!b"})->has_exceptions());
  EXPECT_FALSE(IgnoreMatcher::Parse({"a"})->has_exceptions());
  EXPECT_TRUE(IgnoreMatcher::Parse({"**/*"})->IgnoresAll());
  EXPECT_FALSE(IgnoreMatcher::Parse({"!*"})->IgnoresAll());
  EXPECT_TRUE(IgnoreMatcher::Parse({" "})->empty());
}

TEST(IgnoreFile, KnowsWhereExceptionsMayBe) {
  const auto may = [](const std::vector<std::string>& patterns, const char* directory) {
    return IgnoreMatcher::Parse(patterns)->MayKeepBelow(directory);
  };
  EXPECT_TRUE(may({"a", "!a/b/c"}, "a"));
  EXPECT_TRUE(may({"a", "!a/b/c"}, "a/b"));
  EXPECT_FALSE(may({"a", "!a/b/c"}, "a/b/c"));
  EXPECT_FALSE(may({"a", "!ab/c"}, "a"));
  EXPECT_FALSE(may({"a", "b/c"}, "b"));
  EXPECT_TRUE(may({"a", "!a/*/c"}, "a/x"));
  EXPECT_FALSE(may({"a", "!a/*/c"}, "b"));
  EXPECT_TRUE(may({"a", "!**/c"}, "a/x/y"));
  EXPECT_TRUE(may({"a", "!a?/c"}, "ax"));
}

TEST(GoGlob, MatchesWithinOnePart) {
  const std::vector<std::tuple<std::string, std::string, bool>> cases = {
      {"abc", "abc", true},
      {"*", "abc", true},
      {"*c", "abc", true},
      {"a*", "ab/c", false},
      {"a*/b", "abc/b", true},
      {"a*/b", "a/c/b", false},
      {"a*b*c*d*e*/f", "axbxcxdxe/f", true},
      {"ab[c]", "abc", true},
      {"ab[e-g]", "abc", false},
      {"a\\*b", "a*b", true},
      {"a\\*b", "axb", false},
      {"a?b", "a\u263ab", true},
      {"a???b", "a\u263ab", false},
      {"[a-\u03b6]*", "\u03b1", true},
      {"*[a-\u03b6]", "A", false},
      {"a?b", "a/b", false},
      {"[\\]a]", "]", true},
      {"**", "ab", true},
      {"**", "a/b", false},
      {"*x", "xxx", true},
      {"", "", true},
      {"a", "", false},
  };
  for (const auto& [pattern, path, want] : cases)
    EXPECT_EQ(GlobMatch(pattern, path).value(), want) << pattern << " on " << path;
  for (const char* pattern : {"[]a]", "[-]", "[x-]", "[-x]", "\\", "[a-b-c]", "[", "a[", "b[a"})
    EXPECT_FALSE(GlobMatch(pattern, "zzz")) << pattern;
}

TEST(GoGlob, IsNotExponential) {
  std::string pattern;
  for (int i = 0; i < 500; ++i) pattern += "*a";
  EXPECT_FALSE(GlobMatch(pattern + "b", std::string(2000, 'a')).value());
  std::string stars;
  for (int i = 0; i < 200; ++i) stars += "**/a/";
  EXPECT_FALSE(IgnoreMatcher::Parse({stars + "b"})->Ignores(std::string(1000, 'a')));
}

TEST(GoGlob, FindsWildcards) {
  EXPECT_TRUE(HasWildcards("a*"));
  EXPECT_TRUE(HasWildcards("[a]"));
  EXPECT_FALSE(HasWildcards("a\\*"));
  EXPECT_FALSE(HasWildcards("a]"));
}

}  // namespace
}  // namespace veneer::build
