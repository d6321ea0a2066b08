#include "tools/build/language/go_glob.h"

#include "tools/build/language/glob_tokens.h"

namespace veneer::build {

Result<bool> GlobMatch(std::string_view pattern, std::string_view path) {
  TRY_ASSIGN(const std::vector<GlobToken> tokens, ParseGlob(pattern, false));
  return MatchGlob(tokens, path, true);
}

bool HasWildcards(std::string_view source) {
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] == '\\') {
      ++i;
    } else if (std::string_view("*?[").contains(source[i])) {
      return true;
    }
  }
  return false;
}

}  // namespace veneer::build
