#include "tools/build/language/ignore_file.h"

#include <algorithm>

#include "tools/build/language/text.h"

namespace veneer::build {

std::vector<std::string> ReadIgnorePatterns(std::string_view text) {
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  std::vector<std::string> patterns;
  for (const std::string& line : Split(text, '\n')) {
    // White space before # makes it part of a pattern.
    if (line.starts_with('#')) continue;
    std::string_view rest = TrimSpace(line);
    if (rest.empty()) continue;
    const bool exception = rest.starts_with('!');
    if (exception) rest = TrimSpace(rest.substr(1));
    std::string pattern(rest);
    if (!pattern.empty()) pattern = CleanPath(pattern);
    if (pattern.size() > 1 && pattern.starts_with('/')) pattern.erase(0, 1);
    patterns.push_back((exception ? "!" : "") + pattern);
  }
  return patterns;
}

Result<IgnoreMatcher> IgnoreMatcher::Parse(const std::vector<std::string>& patterns) {
  IgnoreMatcher matcher;
  for (const std::string& given : patterns) {
    const std::string_view trimmed = TrimSpace(given);
    if (trimmed.empty()) continue;
    Pattern pattern;
    pattern.text = CleanPath(trimmed);
    pattern.exception = pattern.text.starts_with('!');
    if (pattern.exception) {
      if (pattern.text.size() == 1) return Invalid("illegal exclusion pattern: \"!\"");
      pattern.text.erase(0, 1);
      matcher.has_exceptions_ = true;
    }
    TRY(ParseGlob(pattern.text, false));
    TRY_ASSIGN(pattern.tokens, ParseGlob(pattern.text, true));
    using TokenKind = GlobToken::Kind;
    const auto plain = [](const GlobToken& token) { return token.kind == TokenKind::kRune; };
    const std::vector<GlobToken>& tokens = pattern.tokens;
    const std::string_view text = pattern.text;
    if (text.contains('\\')) {
      pattern.kind = Kind::kGlob;
    } else if (std::ranges::all_of(tokens, plain)) {
      pattern.kind = Kind::kExact;
    } else if (text.starts_with("**") && std::all_of(tokens.begin() + 1, tokens.end(), plain)) {
      pattern.kind = Kind::kSuffix;  // the name may end within a part of a path: **.log
    } else if (text.ends_with("**") && std::all_of(tokens.begin(), tokens.end() - 1, plain)) {
      pattern.kind = Kind::kPrefix;
    } else {
      pattern.kind = Kind::kGlob;
    }
    matcher.patterns_.push_back(std::move(pattern));
  }
  return matcher;
}

bool IgnoreMatcher::Matches(const Pattern& pattern, std::string_view path) {
  std::string_view text = pattern.text;
  switch (pattern.kind) {
    case Kind::kExact:
      return path == text;
    case Kind::kPrefix:
      text.remove_suffix(2);
      return path.starts_with(text);
    case Kind::kSuffix:
      text.remove_prefix(2);
      return path.ends_with(text) || (text.starts_with('/') && path == text.substr(1));
    case Kind::kGlob:
      break;
  }
  return MatchGlob(pattern.tokens, path, true);
}

bool IgnoreMatcher::Ignores(std::string_view path) const {
  bool ignored = false;
  for (const Pattern& pattern : patterns_) {
    // Only what would change the verdict is of interest.
    if (pattern.exception != ignored) continue;
    bool match = Matches(pattern, path);
    for (size_t slash = path.find('/'); !match && slash != std::string_view::npos;
         slash = path.find('/', slash + 1)) {
      match = Matches(pattern, path.substr(0, slash));
    }
    if (match) ignored = !pattern.exception;
  }
  return ignored;
}

bool IgnoreMatcher::MayKeepBelow(std::string_view directory) const {
  const std::string inside = std::string(directory) + "/";
  return std::ranges::any_of(patterns_, [&](const Pattern& pattern) {
    if (!pattern.exception) return false;
    const std::string_view text = pattern.text;
    const std::string_view plain = text.substr(0, text.find_first_of("*?[\\"));
    return plain.starts_with(inside) ||
           (plain.size() < text.size() && std::string_view(inside).starts_with(plain));
  });
}

bool IgnoreMatcher::IgnoresAll() const {
  return std::ranges::any_of(patterns_, [](const Pattern& pattern) {
    return !pattern.exception &&
           (pattern.text == "*" || pattern.text == "**" || pattern.text == "**/*");
  });
}

}  // namespace veneer::build
