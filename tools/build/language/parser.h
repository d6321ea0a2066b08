// Parses a Dockerfile into its syntax tree, by the rules of BuildKit's parser.
//
// Directives, comments, continuation lines, heredocs, flags and the forms of arguments; what the
// instructions mean is for instruction.h. Any bytes are fine: the work is linear in the input, and
// nothing recurses deeper than the limit on ONBUILD.
#pragma once

#include <string_view>
#include <vector>

#include "tools/build/language/ast.h"
#include "tools/build/language/error.h"

namespace veneer::build {

struct ParsedDockerfile {
  Node root;
  char escape = '\\';
  // Lines where an instruction ends that has empty lines among its continuations.
  std::vector<int> empty_continuations;
};

// Errors are BuildKit's, with its line numbers: "file with no instructions", "unterminated
// heredoc", "dockerfile line greater than max allowed size of 65535", …
Located<ParsedDockerfile> ParseDockerfile(std::string_view text);

}  // namespace veneer::build
