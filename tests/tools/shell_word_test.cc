// Expansion of words, by BuildKit's lexer.
#include "tools/shell_word.h"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

namespace veneer::tools {
namespace {

std::optional<std::string> Lookup(std::string_view name) {
  static const std::map<std::string, std::string, std::less<>> values = {
      {"HOME", "/home/me"}, {"EMPTY", ""},     {"FILE", "a.tar.gz"}, {"LINES", "a\nb"},
      {"WORDS", "p  q"},    {"STAR", "x*y*z"}, {"AAA", "aaa"}};
  const auto found = values.find(name);
  if (found == values.end()) return std::nullopt;
  return found->second;
}

std::string Expand(const std::string& word, ShellWordOptions options = {}) {
  const Result<ShellWord> out = ExpandShellWord(word, Lookup, options);
  return out ? out->text : "ERR " + out.error().Message();
}

struct Case {
  std::string word;
  std::string want;
};

void Check(const std::vector<Case>& cases) {
  for (const Case& c : cases) EXPECT_EQ(Expand(c.word), c.want) << c.word;
}

TEST(ShellWord, DefaultsAndAlternatives) {
  Check({
      {"${NO:-x}", "x"},
      {"${NO-x}", "x"},
      {"${EMPTY:-x}", "x"},
      {"${EMPTY-x}", ""},
      {"${HOME:-x}", "/home/me"},
      {"${NO:+x}", ""},
      {"${EMPTY:+x}", ""},
      {"${EMPTY+x}", "x"},
      {"${HOME:+x}", "x"},
      {"${NO:-${HOME:+$FILE}}", "a.tar.gz"},
      {"${NO:-a}}", "a}"},
      {"${NO:-\"a b\"}", "a b"},
      {"${NO:-'$HOME'}", "$HOME"},
      {"${NO:-\\}}", "}"},
      {"${HOME?x}", "/home/me"},
      {"${EMPTY?x}", ""},
  });
}

TEST(ShellWord, RequiredVariables) {
  Check({
      {"${NO:?}", "ERR failed to process \"${NO:?}\": NO: is not allowed to be unset"},
      {"${NO?}", "ERR failed to process \"${NO?}\": NO: is not allowed to be unset"},
      {"${EMPTY:?}", "ERR failed to process \"${EMPTY:?}\": EMPTY: is not allowed to be empty"},
      {"${NO:?why}", "ERR failed to process \"${NO:?why}\": NO: why"},
  });
}

TEST(ShellWord, TrimsPatterns) {
  Check({
      {"${FILE#*.}", "tar.gz"},
      {"${FILE##*.}", "gz"},
      {"${FILE%.*}", "a.tar"},
      {"${FILE%%.*}", "a"},
      {"${FILE#b}", "a.tar.gz"},
      {"${FILE%z}", "a.tar.g"},
      {"${FILE#?}", ".tar.gz"},
      {"${FILE%??}", "a.tar."},
      {"${FILE#}", "a.tar.gz"},
      {"${STAR#x\\*}", "y*z"},
      {"${STAR%%\\**}", "x"},
      {"${LINES#*b}", "a\nb"},
      {"${NO#x}", ""},
      {"${HOME##*/}", "me"},
      {"${FILE#a.}", "tar.gz"},
      {"${FILE#a[.]}", "a.tar.gz"},
      {"${FILE#\\a}",
       "ERR failed to process \"${FILE#\\\\a}\": invalid pattern (\\a) in substitution: invalid "
       "escape '\\a'"},
      {"${FILE:#x}",
       "ERR failed to process \"${FILE:#x}\": unsupported modifier (:#) in "
       "substitution"},
  });
}

TEST(ShellWord, ReplacesPatterns) {
  Check({
      {"${FILE/./-}", "a-tar.gz"},
      {"${FILE//./-}", "a-tar-gz"},
      {"${FILE/a*r/x}", "x.gz"},
      {"${FILE//a/}", ".tr.gz"},
      {"${FILE/?/x}", "x.tar.gz"},
      {"${HOME/\\/home/~}", "~/me"},
      {"${AAA//a/bb}", "bbbbbb"},
      {"${AAA//aa/b}", "ba"},
      {"${AAA//*/b}", "b"},
      {"${FILE/nope/x}", "a.tar.gz"},
      {"${NO/a/b}", ""},
      {"${FILE/tar/$HOME}", "a./home/me.gz"},
      {"${AAA//a/\\$0}", "\\a\\a\\a"},
      {"${FILE/a}", "ERR failed to process \"${FILE/a}\": syntax error: missing '/' in ${}"},
      {"${FILE/a/b", "ERR failed to process \"${FILE/a/b\": syntax error: missing '}'"},
  });
}

TEST(ShellWord, EscapesByTheCharacterOfTheDirective) {
  ShellWordOptions backtick;
  backtick.escape = '`';
  EXPECT_EQ(Expand("a`$HOME\\b", backtick), "a$HOME\\b");
  EXPECT_EQ(Expand("\"`\"\\t`x\"", backtick), "\"\\t`x");
  EXPECT_EQ(Expand("\\$HOME"), "$HOME");
  EXPECT_EQ(Expand("\"\\$HOME \\a\""), "$HOME \\a");
  ShellWordOptions plain;
  plain.plain_quotes = true;
  EXPECT_EQ(Expand("\"$HOME\" '$FILE' it's", plain), "\"/home/me\" 'a.tar.gz' it's");
}

TEST(ShellWord, SplitsBehindExpansion) {
  EXPECT_EQ(ExpandShellWord("a$WORDS b\"$WORDS\" c\\ d ''", Lookup)->words,
            (std::vector<std::string>{"ap", "q", "bp  q", "c d"}));
  EXPECT_EQ(ExpandShellWord("a <<  E", Lookup)->words, (std::vector<std::string>{"a", "<<  E"}));
  EXPECT_EQ(ExpandShellWord("8${NO:-0}", Lookup)->words, std::vector<std::string>{"80"});
}

TEST(ShellWord, TellsWhichVariablesWereSet) {
  const ShellWord word = ExpandShellWord("$HOME${NO:-$FILE}$HOME$1", Lookup).value();
  EXPECT_EQ(word.matched, (std::vector<std::string>{"HOME", "FILE"}));
  EXPECT_EQ(word.unmatched, (std::vector<std::string>{"NO", "1"}));
}

TEST(ShellWord, IsBounded) {
  std::string deep;
  for (int i = 0; i < 5000; ++i) deep += "${a:-";
  EXPECT_NE(Expand(deep).find("nested too deeply"), std::string::npos);
  const std::string big(600'000, 'x');
  const auto lookup = [&](std::string_view) { return std::optional<std::string>(big); };
  EXPECT_FALSE(ExpandShellWord("$a$a", lookup));
  EXPECT_FALSE(ExpandShellWord("\"$a$a\"", lookup));
  EXPECT_FALSE(ExpandShellWord("${a//x/yyyy}", lookup));
}

}  // namespace
}  // namespace veneer::tools
