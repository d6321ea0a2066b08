#include "tools/shell_word.h"

#include <cctype>
#include <optional>

#include "tools/go_value.h"
#include "tools/utf8.h"

namespace veneer::tools {
namespace {

// ${a:-${b:-…}} recurses.
constexpr int kMaxDepth = 100;

// The text so far, as one word and as the words it splits into.
struct Expansion {
  std::string text;
  std::vector<std::string> words;
  bool in_word = false;

  // Takes part in splitting.
  void Add(std::string_view bare) {
    text += bare;
    for (const char c : bare) {
      if (IsSpace(c)) {
        in_word = false;
      } else {
        AddToWord(std::string_view(&c, 1));
      }
    }
  }
  // Never split: quoted, or escaped.
  void AddRaw(std::string_view raw) {
    text += raw;
    AddToWord(raw);
  }

 private:
  void AddToWord(std::string_view part) {
    if (!in_word) words.emplace_back();
    in_word = true;
    words.back() += part;
  }
};

class Expander {
 public:
  Expander(std::string_view input, const std::vector<std::string>& env)
      : input_(input), env_(env) {}

  Result<Expansion> Run() { return Until('\0'); }

 private:
  bool AtEnd() const { return pos_ >= input_.size(); }
  char Peek() const { return AtEnd() ? '\0' : input_[pos_]; }

  // Expands up to `stop`, which is taken, too; to the end of the input for '\0'.
  Result<Expansion> Until(char stop) {
    if (depth_ >= kMaxDepth) return Invalid("nested too deeply");
    ++depth_;
    Expansion out;
    while (!AtEnd()) {
      const char c = Peek();
      if (stop != '\0' && c == stop) {
        ++pos_;
        --depth_;
        return out;
      }
      switch (c) {
        case '\'':
          TRY(SingleQuoted(out));
          break;
        case '"':
          TRY(DoubleQuoted(out));
          break;
        case '$': {
          TRY_ASSIGN(const std::string value, Dollar());
          out.Add(value);
          break;
        }
        case '\\': {
          ++pos_;
          if (AtEnd()) break;
          const size_t size = DecodeRune(input_, pos_).size;
          out.AddRaw(input_.substr(pos_, size));
          pos_ += size;
          break;
        }
        default:
          out.Add(input_.substr(pos_, 1));
          ++pos_;
      }
    }
    --depth_;
    if (stop != '\0') {
      return Invalid(std::string("unexpected end of statement while looking for matching ") + stop);
    }
    return out;
  }

  Result<> SingleQuoted(Expansion& out) {
    const size_t close = input_.find('\'', pos_ + 1);
    if (close == std::string_view::npos) {
      return Invalid("unexpected end of statement while looking for matching single-quote");
    }
    out.AddRaw(input_.substr(pos_ + 1, close - pos_ - 1));
    pos_ = close + 1;
    return {};
  }

  Result<> DoubleQuoted(Expansion& out) {
    std::string text;
    for (++pos_; !AtEnd();) {
      const char c = Peek();
      if (c == '"') {
        ++pos_;
        out.AddRaw(text);
        return {};
      }
      if (c == '$') {
        TRY_ASSIGN(const std::string value, Dollar());
        text += value;
        continue;
      }
      ++pos_;
      if (c == '\\' && !AtEnd()) {
        // Elsewhere in double quotes a backslash is one.
        if (!std::string_view("\"$\\").contains(Peek())) text.push_back('\\');
        text.push_back(input_[pos_++]);
      } else {
        text.push_back(c);
      }
    }
    return Invalid("unexpected end of statement while looking for matching double-quote");
  }

  // At a "$".
  Result<std::string> Dollar() {
    ++pos_;
    if (Peek() != '{') {
      const std::string name = Name();
      return name.empty() ? "$" : Lookup(name).value_or("");
    }
    ++pos_;
    if (AtEnd()) return Invalid("syntax error: missing '}'");
    if (std::string_view("{}:").contains(Peek())) return Invalid("syntax error: bad substitution");
    const std::string name = Name();
    std::optional<std::string> value = Lookup(name);
    if (AtEnd()) return Invalid("syntax error: missing '}'");
    const bool colon = Peek() == ':';
    if (colon) ++pos_;
    const char modifier = Peek();
    if (AtEnd()) return Invalid("syntax error: missing modifier");
    ++pos_;
    if (modifier == '}' && !colon) return value.value_or("");
    if (!std::string_view("+-?").contains(modifier)) {
      return Invalid(std::string("unsupported modifier (") + modifier + ") in substitution");
    }
    TRY_ASSIGN(const Expansion word, Until('}'));
    const bool present = value && !(colon && value->empty());
    if (modifier == '+') return present ? word.text : "";
    if (present) return *value;
    if (modifier == '-') return word.text;
    const char* const problem = colon ? "not allowed to be empty" : "not allowed to be unset";
    return Invalid(name + ": " + (word.text.empty() ? problem : word.text));
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
      while (std::isalnum(static_cast<unsigned char>(Peek())) != 0 || Peek() == '_') ++pos_;
    }
    return std::string(input_.substr(from, pos_ - from));
  }

  std::optional<std::string> Lookup(const std::string& name) const {
    for (const std::string& entry : env_) {
      const size_t equals = entry.find('=');
      if (entry.compare(0, equals, name) != 0) continue;
      return equals == std::string::npos ? "" : entry.substr(equals + 1);
    }
    return std::nullopt;
  }

  std::string_view input_;
  const std::vector<std::string>& env_;
  size_t pos_ = 0;
  int depth_ = 0;
};

Result<Expansion> Expand(std::string_view word, const std::vector<std::string>& env) {
  Result<Expansion> out = Expander(word, env).Run();
  if (!out) return std::unexpected(out.error().Within("failed to process " + GoQuote(word)));
  return out;
}

}  // namespace

Result<std::string> ExpandWord(std::string_view word, const std::vector<std::string>& env) {
  TRY_ASSIGN(Expansion out, Expand(word, env));
  return std::move(out.text);
}

Result<std::vector<std::string>> ExpandWords(std::string_view word,
                                             const std::vector<std::string>& env) {
  TRY_ASSIGN(Expansion out, Expand(word, env));
  return std::move(out.words);
}

}  // namespace veneer::tools
