// .dockerignore: which files of a build context a build does not see.
//
// The rules are those of Docker's patternmatcher: the last pattern that matches decides, a pattern
// with ! takes files back in, ** stands for any number of directories, and what matches a directory
// matches all that is in it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "store/base/result.h"
#include "tools/build/language/glob_tokens.h"

namespace veneer::build {

// The patterns of an ignore file, as they count: without comments, white space around them, a
// leading "/", or "." and ".." parts.
std::vector<std::string> ReadIgnorePatterns(std::string_view text);

// Immutable; threads may share it.
class IgnoreMatcher {
 public:
  // Errors (EINVAL): "illegal exclusion pattern: \"!\"", "syntax error in pattern".
  static Result<IgnoreMatcher> Parse(const std::vector<std::string>& patterns);

  // Whether the build does not see `path`, which is relative to the context and clean: because a
  // pattern matches it or one of its directories, and no later one takes it back in.
  bool Ignores(std::string_view path) const;

  // Whether a directory that is ignored may hold files that are not.
  bool has_exceptions() const { return has_exceptions_; }

  // Whether some exception may be about a file below `directory`, going by the part of it that has
  // no wildcards.
  bool MayKeepBelow(std::string_view directory) const;

  // Whether a pattern leaves out all there is: "*", "**", "**/*".
  bool IgnoresAll() const;

  bool empty() const { return patterns_.empty(); }

 private:
  enum class Kind { kExact, kPrefix, kSuffix, kGlob };
  struct Pattern {
    Kind kind = Kind::kExact;
    bool exception = false;
    std::string text;  // as it stands, without !
    std::vector<GlobToken> tokens;
  };

  static bool Matches(const Pattern& pattern, std::string_view path);

  std::vector<Pattern> patterns_;
  bool has_exceptions_ = false;
};

}  // namespace veneer::build
