// Glob patterns cut into tokens, and their matching: common to COPY sources and ignore files.
#pragma once

#include <string_view>
#include <utility>
#include <vector>

#include "store/base/result.h"

namespace veneer::build {

struct GlobToken {
  enum class Kind {
    kRune,         // this one
    kClass,        // one of some, or none of them
    kOne,          // ?: any but "/"
    kStar,         // *: any number of any but "/"
    kDirectories,  // **/: any number of whole directories
    kRest,         // ** at the end: anything
  };
  Kind kind = Kind::kRune;
  char32_t rune = 0;
  bool negated = false;
  std::vector<std::pair<char32_t, char32_t>> ranges;
};

// With `double_star`, two stars are one of the last two kinds. Error (EINVAL): "syntax error in
// pattern", by Go's rules for it.
Result<std::vector<GlobToken>> ParseGlob(std::string_view pattern, bool double_star);

// Whether the tokens match all of `path`. A class takes "/" only with `class_takes_slash`.
bool MatchGlob(const std::vector<GlobToken>& tokens, std::string_view path, bool class_takes_slash);

}  // namespace veneer::build
