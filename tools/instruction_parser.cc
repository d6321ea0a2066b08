#include "tools/instruction_parser.h"

#include <algorithm>
#include <cctype>
#include <sstream>

#include "tools/go_value.h"
#include "tools/utf8.h"

namespace veneer::tools {
namespace {

std::string_view TrimLeft(std::string_view text) {
  while (!text.empty() && IsSpace(text.front())) text.remove_prefix(1);
  return text;
}

std::string_view TrimRight(std::string_view text) {
  while (!text.empty() && IsSpace(text.back())) text.remove_suffix(1);
  return text;
}

std::string_view Trim(std::string_view text) { return TrimLeft(TrimRight(text)); }

std::vector<std::string> SplitLines(std::span<const std::string> text) {
  std::vector<std::string> lines;
  for (const std::string& part : text) {
    std::istringstream in(part);
    for (std::string line; std::getline(in, line);) lines.push_back(line);
  }
  return lines;
}

// Takes the backslash that continues a line off its end.
bool TakeContinuation(std::string& line) {
  std::string_view rest = line;
  while (rest.ends_with(' ') || rest.ends_with('\t') || rest.ends_with('\r')) rest.remove_suffix(1);
  if (!rest.ends_with('\\')) return false;
  line.resize(rest.size() - 1);
  return true;
}

Instruction ParseInstruction(std::string_view line) {
  line = Trim(line);
  const auto* const end = std::ranges::find_if(line, IsSpace);
  Instruction instruction{std::string(line.begin(), end), std::string(TrimLeft({end, line.end()}))};
  for (char& c : instruction.name)
    c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return instruction;
}

}  // namespace

std::vector<std::string> SplitQuoted(std::string_view text, char escape) {
  std::vector<std::string> words;
  std::string word;
  bool quoted = false;  // a word of nothing but quotes is a word
  char quote = '\0';
  const auto finish = [&] {
    if (quoted || !word.empty()) words.push_back(word);
    word.clear();
    quoted = false;
  };
  for (size_t pos = 0; pos < text.size();) {
    const Rune rune = DecodeRune(text, pos);
    const std::string_view bytes = text.substr(pos, rune.size);
    pos += rune.size;
    if (quote == '\0' && rune.valid && IsSpaceRune(rune.value)) {
      finish();
      continue;
    }
    const char c = bytes.front();
    if (c == escape && quote != '\'') {
      if (pos == text.size()) break;  // nothing to escape
      const size_t next = DecodeRune(text, pos).size;
      word += c;
      word += text.substr(pos, next);
      pos += next;
      continue;
    }
    if (quote != '\0') {
      if (c == quote) quote = '\0';
    } else if (c == '\'' || c == '"') {
      quote = c;
      quoted = true;
    }
    word += bytes;
  }
  finish();
  return words;
}

std::vector<Instruction> SplitInstructions(std::span<const std::string> text) {
  std::vector<Instruction> instructions;
  std::string current;
  bool continued = false;
  for (std::string& line : SplitLines(text)) {
    const std::string_view trimmed = Trim(line);
    if (trimmed.empty() || trimmed.starts_with('#')) continue;
    continued = TakeContinuation(line);
    current += line;
    if (continued) continue;
    instructions.push_back(ParseInstruction(current));
    current.clear();
  }
  if (!Trim(current).empty()) instructions.push_back(ParseInstruction(current));
  return instructions;
}

Result<std::optional<std::vector<std::string>>> ParseExecForm(std::string_view arguments) {
  std::optional<std::vector<std::string>> words;
  if (!arguments.starts_with('[')) return words;
  // Docker reads one JSON value and does not mind what follows.
  std::istringstream in{std::string(arguments)};
  Json array;
  try {
    in >> array;
  } catch (const Json::exception&) {
    return words;
  }
  words.emplace();
  for (const Json& element : array) {
    if (!element.is_string()) {
      return Invalid("when using JSON array syntax, arrays must be comprised of strings only");
    }
    words->push_back(element.get<std::string>());
  }
  return words;
}

std::vector<std::string> SplitFields(std::string_view arguments) {
  std::vector<std::string> fields;
  for (arguments = TrimLeft(arguments); !arguments.empty(); arguments = TrimLeft(arguments)) {
    const auto* const end = std::ranges::find_if(arguments, IsSpace);
    fields.emplace_back(arguments.begin(), end);
    arguments = {end, arguments.end()};
  }
  return fields;
}

Result<std::vector<NameValue>> ParseNameValues(std::string_view instruction,
                                               std::string_view arguments) {
  const std::vector<std::string> words = SplitQuoted(arguments, '\\');
  std::vector<NameValue> pairs;
  if (words.empty()) return Invalid(std::string(instruction) + " requires at least one argument");
  if (!words.front().contains('=')) {
    const auto* const end = std::ranges::find_if(arguments, IsSpace);
    const std::string_view value = TrimLeft({end, arguments.end()});
    if (value.empty()) return Invalid(std::string(instruction) + " must have two arguments");
    pairs.emplace_back(std::string(arguments.begin(), end), value);
    return pairs;
  }
  for (const std::string& word : words) {
    const size_t equals = word.find('=');
    if (equals == std::string::npos) {
      return Invalid("syntax error: can't find = in " + GoQuote(word) +
                     ": must be of the form name=value");
    }
    if (equals == 0) return Invalid(std::string(instruction) + " names can not be blank");
    pairs.emplace_back(word.substr(0, equals), word.substr(equals + 1));
  }
  return pairs;
}

}  // namespace veneer::tools
