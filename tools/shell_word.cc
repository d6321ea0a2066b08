#include "tools/shell_word.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "tools/go_value.h"
#include "tools/shell_pattern.h"
#include "tools/utf8.h"

namespace veneer::tools {
namespace {

// ${a:-${b:-…}} recurses.
constexpr int kMaxDepth = 100;
constexpr size_t kMaxResult = 1 << 20;

// The text so far, as one word and as the words it splits into.
class Expansion {
 public:
  // Takes part in splitting.
  void Add(std::string_view bare) {
    text_ += bare;
    for (const char c : bare) {
      if (!IsSpace(c)) {
        word_ += c;
      } else if (!word_.empty()) {
        words_.push_back(std::move(word_));
        word_.clear();
      }
    }
  }
  // Never split: quoted, or escaped.
  void AddRaw(std::string_view raw) {
    text_ += raw;
    word_ += raw;
  }

  const std::string& text() const { return text_; }

  ShellWord Take() && {
    if (!word_.empty()) words_.push_back(std::move(word_));
    ShellWord out;
    out.text = std::move(text_);
    out.words = std::move(words_);
    return out;
  }

 private:
  std::string text_;
  std::string word_;
  std::vector<std::string> words_;
};

class Expander {
 public:
  Expander(std::string_view input, const VariableLookup& variables, const ShellWordOptions& options)
      : input_(input), variables_(variables), options_(options) {}

  Result<ShellWord> Run() {
    TRY_ASSIGN(Expansion expansion, Until('\0', options_.keep_escapes));
    ShellWord out = std::move(expansion).Take();
    out.matched = std::move(matched_);
    out.unmatched = std::move(unmatched_);
    return out;
  }

 private:
  bool AtEnd() const { return pos_ >= input_.size(); }
  char Peek() const { return AtEnd() ? '\0' : input_[pos_]; }
  bool NextIs(char c) const { return !AtEnd() && input_[pos_] == c; }

  // The next rune, as the bytes it has in the input.
  std::string_view Next() {
    if (AtEnd()) return {};
    const std::string_view rune = input_.substr(pos_, DecodeRune(input_, pos_).size);
    pos_ += rune.size();
    return rune;
  }

  // Expands up to `stop`, which is taken, too; to the end of the input for '\0'.
  Result<Expansion> Until(char stop, bool keep_escapes) {
    if (depth_ >= kMaxDepth) return Invalid("nested too deeply", E2BIG);
    ++depth_;
    const bool kept_before = keep_escapes_;
    keep_escapes_ = keep_escapes;
    Expansion out;
    bool stopped = false;
    while (!AtEnd() && !stopped) {
      if (stop != '\0' && Peek() == stop) {
        ++pos_;
        stopped = true;
        break;
      }
      TRY(Step(out));
      if (out.text().size() > kMaxResult) return Invalid("the result is longer than 1 MiB", E2BIG);
    }
    keep_escapes_ = kept_before;
    --depth_;
    if (stop != '\0' && !stopped) {
      return Invalid(std::string("unexpected end of statement while looking for matching ") + stop);
    }
    return out;
  }

  // One character, quoted text or substitution.
  Result<> Step(Expansion& out) {
    const char c = Peek();
    if (c == '\'' && !options_.plain_quotes) return SingleQuoted(out);
    if (c == '"' && !options_.plain_quotes) return DoubleQuoted(out);
    if (c == '$') {
      TRY_ASSIGN(const std::string value, Dollar());
      out.Add(value);
    } else if (c == '<') {
      // The word behind << may stand apart from it and still is part of the same word.
      const size_t from = pos_++;
      if (NextIs('<')) {
        ++pos_;
        while (NextIs(' ') || NextIs('\t') || NextIs('\r')) ++pos_;
      }
      out.AddRaw(input_.substr(from, pos_ - from));
    } else if (c == options_.escape) {
      ++pos_;
      if (keep_escapes_) out.AddRaw(std::string_view(&c, 1));
      out.AddRaw(Next());  // nothing at the end of the word
    } else {
      out.Add(Next());
    }
    return {};
  }

  Result<> SingleQuoted(Expansion& out) {
    const size_t close = input_.find('\'', pos_ + 1);
    if (close == std::string_view::npos) {
      return Invalid("unexpected end of statement while looking for matching single-quote");
    }
    const size_t quotes = options_.keep_quotes ? 0 : 1;
    out.AddRaw(input_.substr(pos_ + quotes, close + 1 - pos_ - 2 * quotes));
    pos_ = close + 1;
    return {};
  }

  Result<> DoubleQuoted(Expansion& out) {
    std::string text = options_.keep_quotes ? "\"" : "";
    for (++pos_; !AtEnd();) {
      const char c = Peek();
      if (c == '"') {
        ++pos_;
        if (options_.keep_quotes) text += '"';
        out.AddRaw(text);
        return {};
      }
      if (c == '$') {
        TRY_ASSIGN(const std::string value, Dollar());
        text += value;
        if (text.size() > kMaxResult) return Invalid("the result is longer than 1 MiB", E2BIG);
        continue;
      }
      ++pos_;
      if (c != options_.escape) {
        text += c;
        continue;
      }
      if (keep_escapes_) text += c;
      if (AtEnd()) break;
      // Elsewhere in double quotes an escape character is one.
      if (NextIs('"') || NextIs('$') || NextIs(options_.escape)) {
        text += input_[pos_++];
      } else {
        text += c;
      }
    }
    return Invalid("unexpected end of statement while looking for matching double-quote");
  }

  // At a "$".
  Result<std::string> Dollar() {
    ++pos_;
    if (!NextIs('{')) {
      const std::string name = Name();
      if (name.empty()) return "$";
      std::optional<std::string> value = Lookup(name);
      if (!value && options_.keep_unset) return "$" + name;
      return std::move(value).value_or("");
    }
    ++pos_;
    if (AtEnd()) return Invalid("syntax error: missing '}'");
    if (std::string_view("{}:").contains(Peek())) return Invalid("syntax error: bad substitution");
    const std::string name = Name();
    if (AtEnd()) return Invalid("syntax error: missing '}'");
    std::string modifier(Next());
    if (modifier == "}") {
      std::optional<std::string> value = Lookup(name);
      if (!value && options_.keep_unset) return "${" + name + "}";
      return std::move(value).value_or("");
    }
    if (modifier == ":") {
      if (AtEnd()) return Invalid("syntax error: missing modifier");
      modifier += Next();
    }
    if (modifier == "/" && options_.patterns) return Replace(name);
    const bool trims = options_.patterns && (modifier == "#" || modifier == "%");
    const bool known = modifier.size() <= 2 && std::string_view("+-?").contains(modifier.back()) &&
                       (modifier.size() == 1 || modifier.front() == ':');
    // As BuildKit has it, an unset variable that is kept may have any modifier behind a colon.
    const bool may_be_kept = modifier.size() == 2 && !std::string_view("#%").contains(modifier[1]);
    if (!known && !trims && !may_be_kept) return Unsupported(modifier);
    TRY_ASSIGN(const std::string word, Operand('}', trims, "missing '}'"));
    return Modify(name, modifier, word);
  }

  static std::unexpected<Error> Unsupported(std::string_view modifier) {
    return Invalid(fmt::format("unsupported modifier ({}) in substitution", modifier));
  }

  // What follows a modifier, up to `stop`.
  Result<std::string> Operand(char stop, bool keep_escapes, const char* missing) {
    Result<Expansion> word = Until(stop, keep_escapes);
    if (word) return word->text();
    if (AtEnd()) return Invalid(std::string("syntax error: ") + missing);
    return std::unexpected(word.error());
  }

  Result<std::string> Modify(const std::string& name, std::string_view modifier,
                             const std::string& word) {
    const std::optional<std::string> value = Lookup(name);
    if (!value && options_.keep_unset) return fmt::format("${{{}{}{}}}", name, modifier, word);
    const bool colon = modifier.size() == 2;
    if (colon && !std::string_view("+-?").contains(modifier[1])) return Unsupported(modifier);
    const bool present = value && !(colon && value->empty());
    const char kind = modifier.back();
    if (kind == '+') return present ? word : "";
    if (kind == '-') return present ? *value : word;
    if (kind == '?') {
      if (present) return *value;
      const char* const why = value ? "is not allowed to be empty" : "is not allowed to be unset";
      return Invalid(name + ": " + (word.empty() ? why : word));
    }
    const bool longest = word.starts_with(kind);
    TRY_ASSIGN(const ShellPattern pattern, ShellPattern::Parse(word.substr(longest ? 1 : 0)));
    const std::string text = value.value_or("");
    return kind == '#' ? pattern.TrimPrefix(text, longest) : pattern.TrimSuffix(text, longest);
  }

  // Behind "${name/".
  Result<std::string> Replace(const std::string& name) {
    const bool all = NextIs('/');
    if (all) ++pos_;
    TRY_ASSIGN(const std::string from, Operand('/', true, "missing '/' in ${}"));
    TRY_ASSIGN(const std::string to, Operand('}', true, "missing '}'"));
    const std::optional<std::string> value = Lookup(name);
    if (!value && options_.keep_unset) return fmt::format("${{{}/{}/{}}}", name, from, to);
    TRY_ASSIGN(const ShellPattern pattern, ShellPattern::Parse(from));
    const size_t size = value.value_or("").size() + 1;
    if (to.size() > kMaxResult / size) return Invalid("the result is longer than 1 MiB", E2BIG);
    return pattern.Replace(value.value_or(""), to, all);
  }

  // A variable's name, a number or one special character; nothing of these is ever set but a name.
  std::string Name() {
    const size_t from = pos_;
    const auto is_digit = [this] { return std::isdigit(static_cast<unsigned char>(Peek())) != 0; };
    if (is_digit()) {
      while (is_digit()) ++pos_;
    } else if (!AtEnd() && std::string_view("@*#?-$!").contains(Peek())) {
      ++pos_;
    } else {
      while (std::isalnum(static_cast<unsigned char>(Peek())) != 0 || NextIs('_')) ++pos_;
    }
    return std::string(input_.substr(from, pos_ - from));
  }

  std::optional<std::string> Lookup(const std::string& name) {
    std::optional<std::string> value = variables_(name);
    std::vector<std::string>& seen = value ? matched_ : unmatched_;
    if (std::ranges::find(seen, name) == seen.end()) seen.push_back(name);
    return value;
  }

  std::string_view input_;
  const VariableLookup& variables_;
  const ShellWordOptions& options_;
  size_t pos_ = 0;
  int depth_ = 0;
  bool keep_escapes_ = false;
  std::vector<std::string> matched_;
  std::vector<std::string> unmatched_;
};

Result<ShellWord> ExpandFromEnv(std::string_view word, const std::vector<std::string>& env) {
  const auto lookup = [&env](std::string_view name) -> std::optional<std::string> {
    for (const std::string& entry : env) {
      const size_t equals = entry.find('=');
      if (std::string_view(entry).substr(0, equals) != name) continue;
      return equals == std::string::npos ? "" : entry.substr(equals + 1);
    }
    return std::nullopt;
  };
  ShellWordOptions options;
  options.patterns = false;
  return ExpandShellWord(word, lookup, options);
}

}  // namespace

Result<ShellWord> ExpandShellWord(std::string_view word, const VariableLookup& variables,
                                  const ShellWordOptions& options) {
  Result<ShellWord> out = Expander(word, variables, options).Run();
  if (!out) return std::unexpected(out.error().Within("failed to process " + GoQuote(word)));
  return out;
}

Result<std::string> ExpandWord(std::string_view word, const std::vector<std::string>& env) {
  TRY_ASSIGN(ShellWord out, ExpandFromEnv(word, env));
  return std::move(out.text);
}

Result<std::vector<std::string>> ExpandWords(std::string_view word,
                                             const std::vector<std::string>& env) {
  TRY_ASSIGN(ShellWord out, ExpandFromEnv(word, env));
  return std::move(out.words);
}

}  // namespace veneer::tools
