#include "tools/build/language/glob_tokens.h"

#include <algorithm>

#include "tools/utf8.h"

namespace veneer::build {
namespace {

using Kind = GlobToken::Kind;

class GlobParser {
 public:
  GlobParser(std::string_view pattern, bool double_star)
      : pattern_(pattern), double_star_(double_star) {}

  Result<std::vector<GlobToken>> Run() {
    while (!AtEnd()) {
      const char c = pattern_[pos_];
      if (c == '*') {
        Star();
      } else if (c == '?') {
        ++pos_;
        tokens_.push_back({Kind::kOne});
      } else if (c == '[') {
        TRY(Class());
      } else {
        TRY_ASSIGN(const char32_t rune, Escaped());
        tokens_.push_back({Kind::kRune, rune});
      }
    }
    return std::move(tokens_);
  }

 private:
  bool AtEnd() const { return pos_ >= pattern_.size(); }
  bool Take(char c) {
    if (AtEnd() || pattern_[pos_] != c) return false;
    ++pos_;
    return true;
  }

  static std::unexpected<Error> Bad() { return Invalid("syntax error in pattern"); }

  void Star() {
    ++pos_;
    if (!double_star_ || !Take('*')) {
      // More of them mean no more than one.
      if (tokens_.empty() || tokens_.back().kind != Kind::kStar) tokens_.push_back({Kind::kStar});
      return;
    }
    Take('/');
    tokens_.push_back({AtEnd() ? Kind::kRest : Kind::kDirectories});
  }

  // A rune, or the one behind a backslash.
  Result<char32_t> Escaped() {
    if (Take('\\') && AtEnd()) return Bad();
    const tools::Rune rune = tools::DecodeRune(pattern_, pos_);
    pos_ += rune.size;
    return rune.value;
  }

  // The bound of a range.
  Result<char32_t> Bound() {
    if (AtEnd() || pattern_[pos_] == '-' || pattern_[pos_] == ']') return Bad();
    if (!tools::DecodeRune(pattern_, pos_).valid) return Bad();
    TRY_ASSIGN(const char32_t rune, Escaped());
    if (AtEnd()) return Bad();
    return rune;
  }

  Result<> Class() {
    ++pos_;
    GlobToken token{Kind::kClass};
    token.negated = Take('^');
    while (token.ranges.empty() || !Take(']')) {
      TRY_ASSIGN(const char32_t low, Bound());
      char32_t high = low;
      if (Take('-')) {
        TRY_ASSIGN(high, Bound());
      }
      token.ranges.emplace_back(low, high);
    }
    tokens_.push_back(std::move(token));
    return {};
  }

  std::string_view pattern_;
  bool double_star_;
  size_t pos_ = 0;
  std::vector<GlobToken> tokens_;
};

bool InClass(const GlobToken& token, char32_t rune) {
  const bool in = std::ranges::any_of(token.ranges, [rune](const auto& range) {
    return range.first <= rune && rune <= range.second;
  });
  return in != token.negated;
}

// Whether the token may stand for no rune at all, or for more than one.
bool Repeats(const GlobToken& token) {
  return token.kind == Kind::kStar || token.kind == Kind::kDirectories || token.kind == Kind::kRest;
}

}  // namespace

Result<std::vector<GlobToken>> ParseGlob(std::string_view pattern, bool double_star) {
  return GlobParser(pattern, double_star).Run();
}

bool MatchGlob(const std::vector<GlobToken>& tokens, std::string_view path,
               bool class_takes_slash) {
  // live[i]: the tokens before i match the runes so far. inside[i]: so do those up to i, but for
  // the "/" that ends token i, a run of directories.
  std::vector<bool> live(tokens.size() + 1);
  std::vector<bool> inside(tokens.size() + 1);
  std::vector<bool> next(tokens.size() + 1);
  std::vector<bool> next_inside(tokens.size() + 1);
  live[0] = true;
  for (size_t pos = 0;;) {
    bool any = false;
    for (size_t i = 0; i < tokens.size(); ++i) {
      if (live[i] && Repeats(tokens[i])) live[i + 1] = true;
      any = any || live[i] || inside[i];
    }
    if (pos == path.size()) return live.back();
    if (!any) return false;
    const tools::Rune rune = tools::DecodeRune(path, pos);
    pos += rune.size;
    const bool slash = rune.value == '/';
    next.assign(next.size(), false);
    next_inside.assign(next_inside.size(), false);
    for (size_t i = 0; i < tokens.size(); ++i) {
      const GlobToken& token = tokens[i];
      if (token.kind == Kind::kDirectories && (live[i] || inside[i])) {
        next_inside[i] = true;
        if (slash) next[i + 1] = true;
      }
      if (!live[i]) continue;
      if (token.kind == Kind::kRune && token.rune == rune.value) next[i + 1] = true;
      if (token.kind == Kind::kOne && !slash) next[i + 1] = true;
      if (token.kind == Kind::kClass && (class_takes_slash || !slash) && InClass(token, rune.value))
        next[i + 1] = true;
      if ((token.kind == Kind::kStar && !slash) || token.kind == Kind::kRest) next[i] = true;
    }
    live.swap(next);
    inside.swap(next_inside);
  }
}

}  // namespace veneer::build
