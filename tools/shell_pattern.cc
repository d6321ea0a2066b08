#include "tools/shell_pattern.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "tools/utf8.h"

namespace veneer::tools {
namespace {

constexpr size_t kMaxRunes = 4096;
constexpr size_t kNowhere = std::numeric_limits<size_t>::max();

std::vector<char32_t> ToRunes(std::string_view text) {
  std::vector<char32_t> runes;
  for (size_t pos = 0; pos < text.size();) {
    const Rune rune = DecodeRune(text, pos);
    runes.push_back(rune.value);
    pos += rune.size;
  }
  return runes;
}

std::string ToText(const std::vector<char32_t>& runes, size_t first, size_t last) {
  std::string text;
  for (size_t i = first; i < last; ++i) AppendRune(text, runes[i]);
  return text;
}

std::string AsText(char32_t rune) {
  std::string text;
  AppendRune(text, rune);
  return text;
}

bool IsNameCharacter(char c) { return c == '_' || (std::isalnum(static_cast<unsigned char>(c))); }

// The text that replaces one match, by the rules of Go's Regexp.Expand.
std::string ExpandTemplate(std::string_view text, const std::string& match) {
  std::string out;
  for (size_t i = 0; i < text.size();) {
    if (text[i] != '$' || i + 1 == text.size()) {
      out += text[i++];
      continue;
    }
    if (text[i + 1] == '$') {
      out += '$';
      i += 2;
      continue;
    }
    const bool braces = text[i + 1] == '{';
    const size_t first = i + (braces ? 2 : 1);
    size_t last = first;
    while (last < text.size() && IsNameCharacter(text[last])) ++last;
    if (last == first || (braces && (last == text.size() || text[last] != '}'))) {
      out += text[i++];
      continue;
    }
    if (text.substr(first, last - first) == "0") out += match;
    i = last + (braces ? 1 : 0);
  }
  return out;
}

}  // namespace

Result<ShellPattern> ShellPattern::Parse(std::string_view pattern) {
  const auto refuse = [&](const std::string& why) {
    return Invalid(fmt::format("invalid pattern ({}) in substitution: {}", pattern, why));
  };
  const std::vector<char32_t> runes = ToRunes(pattern);
  if (runes.size() > kMaxRunes) return Invalid("pattern too long in substitution");
  ShellPattern out;
  for (size_t i = 0; i < runes.size(); ++i) {
    const char32_t next = i + 1 < runes.size() ? runes[i + 1] : 0;
    if (runes[i] == '*') {
      out.tokens_.push_back({Kind::kStar});
    } else if (runes[i] == '?') {
      out.tokens_.push_back({Kind::kAny});
    } else if (runes[i] != '\\') {
      out.tokens_.push_back({Kind::kRune, runes[i]});
    } else if (next == '}' || next == '/') {
      continue;
    } else if (next == '*' || next == '?' || next == '\\') {
      out.tokens_.push_back({Kind::kRune, next});
      ++i;
    } else {
      return refuse("invalid escape '\\" + (next == 0 ? "\uFFFD" : AsText(next)) + "'");
    }
  }
  return out;
}

std::optional<size_t> ShellPattern::MatchPrefix(const std::vector<Token>& tokens,
                                                const Runes& runes, bool longest) {
  // live[i]: the tokens before i match the runes so far.
  std::vector<bool> live(tokens.size() + 1);
  live[0] = true;
  std::optional<size_t> found;
  for (size_t pos = 0;; ++pos) {
    for (size_t i = 0; i < tokens.size(); ++i) {
      if (live[i] && tokens[i].kind == Kind::kStar) live[i + 1] = true;
    }
    if (live.back()) found = pos;
    if ((found && !longest) || pos == runes.size()) return found;
    std::vector<bool> next(live.size());
    bool any = false;
    for (size_t i = 0; i < tokens.size(); ++i) {
      if (!live[i]) continue;
      const bool plain = runes[pos] != '\n';
      if (tokens[i].kind == Kind::kStar && plain) next[i] = any = true;
      if (tokens[i].kind == Kind::kAny && plain) next[i + 1] = any = true;
      if (tokens[i].kind == Kind::kRune && tokens[i].rune == runes[pos]) next[i + 1] = any = true;
    }
    if (!any) return found;
    live = std::move(next);
  }
}

std::string ShellPattern::TrimPrefix(std::string_view value, bool longest) const {
  const Runes runes = ToRunes(value);
  const std::optional<size_t> end = MatchPrefix(tokens_, runes, longest);
  return end ? ToText(runes, *end, runes.size()) : std::string(value);
}

std::string ShellPattern::TrimSuffix(std::string_view value, bool longest) const {
  Runes runes = ToRunes(value);
  std::ranges::reverse(runes);
  std::vector<Token> tokens(tokens_.rbegin(), tokens_.rend());
  const std::optional<size_t> end = MatchPrefix(tokens, runes, longest);
  if (!end) return std::string(value);
  std::ranges::reverse(runes);
  return ToText(runes, 0, runes.size() - *end);
}

std::optional<ShellPattern::Span> ShellPattern::Find(const Runes& runes, size_t from) const {
  // start[i]: the leftmost rune from which the tokens before i match up to here.
  std::vector<size_t> start(tokens_.size() + 1, kNowhere);
  std::optional<Span> best;
  for (size_t pos = from;; ++pos) {
    if (!best) start[0] = std::min(start[0], pos);
    for (size_t i = 0; i < tokens_.size(); ++i) {
      if (tokens_[i].kind == Kind::kStar) start[i + 1] = std::min(start[i + 1], start[i]);
    }
    if (start.back() != kNowhere && (!best || start.back() <= best->first))
      best = Span(start.back(), pos);
    if (pos == runes.size()) return best;
    std::vector<size_t> next(start.size(), kNowhere);
    bool any = !best;
    for (size_t i = 0; i < tokens_.size(); ++i) {
      if (start[i] == kNowhere || (best && start[i] > best->first)) continue;
      const bool plain = runes[pos] != '\n';
      size_t to = kNowhere;
      if (tokens_[i].kind == Kind::kStar && plain) to = i;
      if (tokens_[i].kind == Kind::kAny && plain) to = i + 1;
      if (tokens_[i].kind == Kind::kRune && tokens_[i].rune == runes[pos]) to = i + 1;
      if (to == kNowhere) continue;
      next[to] = std::min(next[to], start[i]);
      any = true;
    }
    if (!any) return best;
    start = std::move(next);
  }
}

std::string ShellPattern::Replace(std::string_view value, std::string_view text, bool all) const {
  const Runes runes = ToRunes(value);
  if (!all) {
    const std::optional<Span> match = Find(runes, 0);
    if (!match) return std::string(value);
    return ToText(runes, 0, match->first) + std::string(text) +
           ToText(runes, match->second, runes.size());
  }
  std::string out;
  size_t copied = 0;
  for (size_t from = 0; from <= runes.size();) {
    const std::optional<Span> match = Find(runes, from);
    if (!match) break;
    const auto [first, last] = *match;
    out += ToText(runes, copied, first);
    // An empty match right behind the last one does not count.
    if (last > copied || first == 0) out += ExpandTemplate(text, ToText(runes, first, last));
    copied = last;
    if (last > from) {
      from = last;
    } else {
      ++from;
    }
  }
  return out + ToText(runes, std::min(copied, runes.size()), runes.size());
}

}  // namespace veneer::tools
