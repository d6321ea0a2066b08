#include "tools/build/language/ast.h"

#include "tools/build/language/text.h"
#include "tools/go_value.h"

namespace veneer::build {

std::string Dump(const Node& node) {
  std::string out = ToLower(node.value);
  if (!node.flags.empty()) {
    std::vector<std::string> quoted;
    quoted.reserve(node.flags.size());
    for (const std::string& flag : node.flags) quoted.push_back(tools::GoQuote(flag));
    out += " [" + Join(quoted, " ") + "]";
  }
  for (const Node& child : node.children) out += "(" + Dump(child) + ")\n";
  for (const Node& argument : node.arguments) {
    out += " ";
    out += argument.children.empty() ? tools::GoQuote(argument.value) : Dump(argument);
  }
  return std::string(TrimSpace(out));
}

bool CanContainHeredoc(const Node& node) {
  const Node* holder = &node;
  if (EqualFold(node.value, "onbuild") && !node.arguments.empty() &&
      !node.arguments.front().children.empty()) {
    holder = &node.arguments.front().children.front();
  }
  const std::string keyword = ToLower(holder->value);
  return (keyword == "add" || keyword == "copy" || keyword == "run") && !holder->json;
}

std::vector<std::string> ArgumentValues(const Node& node) {
  std::vector<std::string> values;
  for (const Node& argument : node.arguments) {
    if (argument.children.empty()) {
      values.push_back(argument.value);
      continue;
    }
    const Node& held = argument.children.front();
    values.push_back(held.value);
    for (std::string& value : ArgumentValues(held)) values.push_back(std::move(value));
  }
  return values;
}

}  // namespace veneer::build
