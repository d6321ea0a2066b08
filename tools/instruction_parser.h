// The syntax of Dockerfile instructions: lines, and the forms their arguments come in.
//
// Follows BuildKit's parser. Nothing is expanded or checked for meaning here.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "store/base/result.h"

namespace veneer::tools {

struct Instruction {
  std::string name;       // lower case: "env"
  std::string arguments;  // the rest, as it stands, without white space around it
};

// The instructions in `text`: comments and empty lines left out, lines that end in a backslash
// joined with the next.
std::vector<Instruction> SplitInstructions(std::span<const std::string> text);

// ["a", "b"]; nothing if `arguments` are not a JSON array (then they are in shell form).
// Error: the array holds something other than strings.
Result<std::optional<std::vector<std::string>>> ParseExecForm(std::string_view arguments);

// Words between white space.
std::vector<std::string> SplitFields(std::string_view arguments);

// The same, where quotes and `escape` keep white space from counting. Both stay in the words.
std::vector<std::string> SplitQuoted(std::string_view text, char escape);

// NAME=value pairs, which may be quoted, or the old form of one name, white space, and a value up
// to the end. Quotes and backslashes are kept. `instruction` is for messages: "ENV must have two
// arguments".
using NameValue = std::pair<std::string, std::string>;
Result<std::vector<NameValue>> ParseNameValues(std::string_view instruction,
                                               std::string_view arguments);

}  // namespace veneer::tools
