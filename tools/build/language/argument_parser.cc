#include "tools/build/language/argument_parser.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "tools/build/language/json_array.h"
#include "tools/build/language/text.h"
#include "tools/go_value.h"
#include "tools/instruction_parser.h"
#include "tools/utf8.h"

namespace veneer::build {
namespace {

constexpr int kMaxDepth = 100;

using tools::IsSpace;

void Add(Node& node, std::string_view value) { node.arguments.emplace_back().value = value; }

// Cuts flags off the front of `rest`: words that start with --, without their quotes. "--" ends
// them.
std::vector<std::string> TakeFlags(std::string_view& rest, char escape) {
  std::vector<std::string> flags;
  size_t pos = 0;
  while (true) {
    while (pos < rest.size() && IsSpace(rest[pos])) ++pos;
    if (!rest.substr(pos).starts_with("--")) break;
    std::string word;
    bool quoted = false;
    char quote = '\0';
    for (; pos < rest.size() && (quote != '\0' || !IsSpace(rest[pos])); ++pos) {
      const char c = rest[pos];
      if (quote != '\0' ? c == quote : c == '\'' || c == '"') {
        quote = quote == '\0' ? c : '\0';
        quoted = true;
      } else if (c == escape && pos + 1 == rest.size()) {
        continue;  // nothing to escape
      } else {
        if (c == escape) ++pos;
        word += rest[pos];
      }
    }
    if (word == "--") break;
    if (quoted || !word.empty()) flags.push_back(word);
  }
  rest.remove_prefix(pos);
  return flags;
}

Result<> NameValues(std::string_view keyword, const std::string& rest, char escape, Node& node) {
  const std::vector<std::string> words = tools::SplitQuoted(rest, escape);
  if (words.empty()) return {};
  if (!words.front().contains('=')) {
    // The old form: a name, white space, and a value to the end.
    const std::vector<std::string> parts = SplitBlank(rest, 2);
    if (parts.size() < 2) return Invalid(std::string(keyword) + " must have two arguments");
    Add(node, parts[0]);
    Add(node, parts[1]);
    Add(node, "");
    return {};
  }
  for (const std::string& word : words) {
    const size_t equals = word.find('=');
    if (equals == std::string::npos) {
      return Invalid("Syntax error - can't find = in " + tools::GoQuote(word) +
                     ". Must be of the form: name=value");
    }
    Add(node, word.substr(0, equals));
    Add(node, word.substr(equals + 1));
    Add(node, "=");
  }
  return {};
}

// A JSON array if it is one; else by `otherwise`.
template <typename Otherwise>
Result<> MaybeJson(std::string_view rest, Node& node, Otherwise otherwise) {
  TRY_ASSIGN(const std::optional<std::vector<std::string>> array, ParseJsonArray(rest));
  node.json = array.has_value();
  if (!array) {
    otherwise();
    return {};
  }
  for (const std::string& element : *array) Add(node, element);
  return {};
}

Result<> OneString(std::string_view rest, Node& node) {
  if (rest.empty()) return {};
  return MaybeJson(rest, node, [&] { Add(node, rest); });
}

void BlankSeparated(std::string_view rest, Node& node) {
  if (rest.empty()) return;
  for (const std::string& field : SplitBlank(rest)) Add(node, field);
}

Result<> HealthCheck(std::string_view rest, Node& node) {
  const auto* const end = std::ranges::find_if(rest, IsSpace);
  if (end == rest.begin()) return {};
  Add(node, {rest.begin(), end});
  return OneString({std::find_if_not(end, rest.end(), IsSpace), rest.end()}, node);
}

Result<Node> ParseLine(std::string_view line, char escape, int depth);

Result<> ParseArguments(const std::string& keyword, const std::string& rest, char escape, int depth,
                        Node& node) {
  if (keyword == "env" || keyword == "label")
    return NameValues(ToUpper(keyword), rest, escape, node);
  if (keyword == "arg") {
    for (const std::string& word : tools::SplitQuoted(rest, escape)) Add(node, word);
  } else if (keyword == "cmd" || keyword == "entrypoint" || keyword == "run" ||
             keyword == "shell") {
    return OneString(rest, node);
  } else if (keyword == "add" || keyword == "copy" || keyword == "volume") {
    return MaybeJson(rest, node, [&] { BlankSeparated(rest, node); });
  } else if (keyword == "expose" || keyword == "from") {
    BlankSeparated(rest, node);
  } else if (keyword == "healthcheck") {
    return HealthCheck(rest, node);
  } else if (keyword == "maintainer" || keyword == "stopsignal" || keyword == "user" ||
             keyword == "workdir") {
    if (!rest.empty()) Add(node, rest);
  } else if (keyword == "onbuild") {
    if (rest.empty()) return {};
    if (depth == kMaxDepth) return Invalid("ONBUILD nested too deeply");
    TRY_ASSIGN(Node held, ParseLine(rest, escape, depth + 1));
    node.arguments.emplace_back().children.push_back(std::move(held));
  } else {
    Add(node, "");  // not ours to judge: the parser knows no instructions
  }
  return {};
}

Result<Node> ParseLine(std::string_view line, char escape, int depth) {
  SplitLine split = SplitInstruction(line, escape);
  Node node;
  TRY(ParseArguments(ToLower(split.keyword), split.rest, escape, depth, node));
  node.value = std::move(split.keyword);
  node.flags = std::move(split.flags);
  node.original = line;
  return node;
}

}  // namespace

SplitLine SplitInstruction(std::string_view line, char escape) {
  std::vector<std::string> parts = SplitBlank(TrimSpace(line), 2);
  SplitLine out{std::move(parts[0]), {}, ""};
  if (parts.size() < 2) return out;
  std::string_view rest = parts[1];
  out.flags = TakeFlags(rest, escape);
  out.rest = TrimSpace(rest);
  return out;
}

Result<Node> ParseInstructionLine(std::string_view line, char escape) {
  return ParseLine(line, escape, 0);
}

}  // namespace veneer::build
