// Patterns of ${name#pattern}, ${name%pattern} and ${name/pattern/text}: * and ?, no brackets.
//
// Follows BuildKit's shell lexer: neither wildcard matches a newline, a backslash makes *, ? and
// itself plain, and \} and \/ stand for } and /. A pattern is a value; threads may share it.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "store/base/result.h"

namespace veneer::tools {

class ShellPattern {
 public:
  // Errors (EINVAL): `invalid pattern (a\b) in substitution: invalid escape '\b'`, or that it is
  // too long (4096 characters), since matching costs the product of both lengths.
  static Result<ShellPattern> Parse(std::string_view pattern);

  // `value` without what the pattern matches at its start or end: the shortest match, or the
  // longest. All of `value` where nothing matches.
  std::string TrimPrefix(std::string_view value, bool longest) const;
  std::string TrimSuffix(std::string_view value, bool longest) const;

  // `value` with the first match, or all of them, replaced; of several matches the leftmost, then
  // the longest. With `all`, "$" in the text is Go's: $$ is a dollar sign, $0 the match, any other
  // $name nothing.
  std::string Replace(std::string_view value, std::string_view text, bool all) const;

 private:
  enum class Kind { kRune, kAny, kStar };
  struct Token {
    Kind kind;
    char32_t rune = 0;
  };
  using Runes = std::vector<char32_t>;
  using Span = std::pair<size_t, size_t>;  // first and past-the-last rune

  static std::optional<size_t> MatchPrefix(const std::vector<Token>& tokens, const Runes& runes,
                                           bool longest);
  std::optional<Span> Find(const Runes& runes, size_t from) const;

  std::vector<Token> tokens_;
};

}  // namespace veneer::tools
