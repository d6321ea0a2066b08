// The syntax tree of a Dockerfile: what BuildKit's parser calls a Node.
//
// The root has one child per instruction. An instruction is its keyword, flags and arguments;
// ONBUILD has one argument, whose only child is the instruction it holds. Plain values.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tools/build/language/error.h"
#include "tools/build/language/heredoc.h"

namespace veneer::build {

struct Node {
  std::string value;               // the keyword as it stands, or the argument
  std::vector<std::string> flags;  // "--from=x", without quotes
  std::vector<Node> arguments;
  std::vector<Node> children;
  std::vector<Heredoc> heredocs;
  bool json = false;                  // the arguments were a JSON array
  std::string original;               // the instruction on one line, continuations joined
  Lines lines;                        // heredocs included
  std::vector<std::string> comments;  // the comment lines before it
};

// The S-expression that BuildKit's Node.Dump makes of the tree, without a newline at its end.
std::string Dump(const Node& node);

// Whether heredocs may follow: ADD, COPY and RUN in shell form, and ONBUILD with one of them.
bool CanContainHeredoc(const Node& node);

// The values of the arguments, in one row with those of an instruction held by ONBUILD.
std::vector<std::string> ArgumentValues(const Node& node);

}  // namespace veneer::build
