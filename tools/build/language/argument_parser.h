// The forms that an instruction's arguments come in, as BuildKit's parser tells them apart: words,
// NAME=value pairs, one string, JSON arrays. Nothing is expanded here.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "store/base/result.h"
#include "tools/build/language/ast.h"

namespace veneer::build {

// The keyword, flags and arguments of an instruction on one line, not yet looked at closer.
struct SplitLine {
  std::string keyword;
  std::vector<std::string> flags;
  std::string rest;
};
SplitLine SplitInstruction(std::string_view line, char escape);

// An instruction's node from its line, but for heredocs, comments and line numbers. Errors (EINVAL)
// are BuildKit's: "ENV must have two arguments", "when using JSON array syntax, arrays must be
// comprised of strings only"; also for ONBUILD in ONBUILD, more than 100 deep.
Result<Node> ParseInstructionLine(std::string_view line, char escape);

}  // namespace veneer::build
