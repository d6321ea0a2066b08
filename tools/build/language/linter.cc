#include "tools/build/language/linter.h"

#include <algorithm>

#include "tools/build/language/directive.h"
#include "tools/build/language/go_number.h"
#include "tools/build/language/text.h"
#include "tools/go_value.h"

namespace veneer::build {
namespace {

void ReadRules(const std::string& value, bool& all, std::set<std::string, std::less<>>& rules) {
  if (TrimSpace(value) == "all") {
    all = true;
    return;
  }
  for (const std::string& rule : Split(TrimSpace(value), ',')) rules.emplace(TrimSpace(rule));
}

}  // namespace

Result<LintOptions> LintOptions::Parse(std::string_view text) {
  LintOptions options;
  text = TrimSpace(text);
  if (text.empty()) return options;
  std::vector<std::string> parts = Split(text, ';');
  constexpr size_t kMaxParts = 3;
  while (parts.size() > kMaxParts) {
    parts[parts.size() - 2] += ";" + parts.back();
    parts.pop_back();
  }
  for (const std::string& part : parts) {
    const size_t equals = part.find('=');
    if (equals == std::string::npos)
      return Invalid("failed to parse check options: invalid check option " + tools::GoQuote(part));
    const std::string key(TrimSpace(std::string_view(part).substr(0, equals)));
    const std::string value = part.substr(equals + 1);
    if (key == "skip") {
      ReadRules(value, options.skip_all, options.skip);
    } else if (key == "experimental") {
      ReadRules(value, options.experimental_all, options.experimental);
    } else if (key == "error") {
      const std::optional<bool> error = ParseBool(TrimSpace(value));
      if (!error) {
        return Invalid("failed to parse check options: failed to parse check option " +
                       tools::GoQuote(part) + ": strconv.ParseBool: parsing " +
                       tools::GoQuote(TrimSpace(value)) + ": invalid syntax");
      }
      options.error = *error;
    } else {
      return Invalid("failed to parse check options: invalid check option " + tools::GoQuote(key));
    }
  }
  return options;
}

bool LintOptions::Allows(const LintRule& rule) const {
  if (rule.experimental) return experimental_all || experimental.contains(rule.name);
  return !skip_all && !skip.contains(rule.name);
}

void Linter::Warn(const LintRule& rule, Lines lines, std::string message,
                  std::span<const std::string> comments) {
  LintOptions options = options_;
  for (const std::string& comment : comments) {
    DirectiveReader reader("");
    const Result<std::optional<Directive>> directive = reader.Read(comment);
    if (!directive || !*directive || (*directive)->name != "check") continue;
    const std::string& value = (*directive)->value;
    const Result<LintOptions> more = LintOptions::Parse(value.substr(0, value.find(' ')));
    if (!more) break;
    options.skip_all |= more->skip_all;
    options.skip.insert(more->skip.begin(), more->skip.end());
    options.experimental_all |= more->experimental_all;
    options.experimental.insert(more->experimental.begin(), more->experimental.end());
    break;
  }
  if (options.Allows(rule)) warnings_.push_back({rule, std::move(message), lines});
}

std::vector<LintWarning> Linter::Sorted() const {
  std::vector<LintWarning> sorted = warnings_;
  std::ranges::stable_sort(sorted, {}, [](const LintWarning& w) { return w.lines.first; });
  return sorted;
}

Result<> Linter::Verdict() const {
  if (!options_.error || warnings_.empty()) return {};
  std::set<std::string> names;
  for (const LintWarning& warning : warnings_) names.emplace(warning.rule.name);
  return Invalid("lint violation found for rules: " +
                 Join(std::vector<std::string>(names.begin(), names.end()), ", "));
}

}  // namespace veneer::build
