#include "tools/build/language/directive.h"

#include <algorithm>
#include <cctype>

#include "tools/build/language/text.h"
#include "tools/utf8.h"

namespace veneer::build {

Result<std::optional<Directive>> DirectiveReader::Read(std::string_view line) {
  if (done_) return std::nullopt;
  done_ = true;  // unless this is one
  if (!line.starts_with(comment_)) return std::nullopt;
  line = TrimLeftSpace(line.substr(comment_.size()));
  const auto is_name = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0; };
  const auto* const end = std::ranges::find_if_not(line, is_name);
  if (end == line.begin() || std::isdigit(static_cast<unsigned char>(line.front())) != 0)
    return std::nullopt;
  Directive directive{ToLower({line.begin(), end}), ""};
  std::string_view rest(end, line.end());
  const auto trim = [](std::string_view text) {
    while (!text.empty() && text.front() != '\v' && tools::IsSpace(text.front()))
      text.remove_prefix(1);
    return text;
  };
  rest = trim(rest);
  if (!rest.starts_with('=')) return std::nullopt;
  rest = trim(rest.substr(1));
  while (!rest.empty() && rest.back() != '\v' && tools::IsSpace(rest.back())) rest.remove_suffix(1);
  if (rest.empty()) return std::nullopt;
  directive.value = rest;
  if (directive.name != "syntax" && directive.name != "escape" && directive.name != "check")
    return std::nullopt;
  if (!seen_.insert(directive.name).second)
    return Invalid("only one " + directive.name + " parser directive can be used");
  done_ = false;
  return directive;
}

std::optional<std::string> FindDirective(std::string_view name, std::string_view dockerfile) {
  if (dockerfile.starts_with("\xEF\xBB\xBF")) dockerfile.remove_prefix(3);
  DirectiveReader reader;
  bool first = true;
  while (!dockerfile.empty()) {
    const size_t end = dockerfile.find('\n');
    std::string_view line = dockerfile.substr(0, end);
    dockerfile.remove_prefix(end == std::string_view::npos ? dockerfile.size() : end + 1);
    const bool shebang = first && line.starts_with("#!");
    first = false;
    if (shebang) continue;
    if (line.ends_with('\r')) line.remove_suffix(1);
    const Result<std::optional<Directive>> directive = reader.Read(line);
    if (!directive || !*directive) return std::nullopt;
    if ((*directive)->name == name)
      return (*directive)->value.substr(0, (*directive)->value.find(' '));
  }
  return std::nullopt;
}

}  // namespace veneer::build
