#include "tools/template_lexer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "tools/go_value.h"
#include "tools/utf8.h"

namespace veneer::tools {
namespace {

constexpr std::string_view kLeft = "{{";
constexpr std::string_view kRight = "}}";
constexpr std::string_view kLeftComment = "/*";
constexpr std::string_view kRightComment = "*/";
constexpr size_t kTrimMarker = 2;  // "- " after {{, " -" before }}

constexpr std::array<std::pair<std::string_view, TokenKind>, 12> kKeywords = {{
    {"if", TokenKind::kIf},
    {"else", TokenKind::kElse},
    {"end", TokenKind::kEnd},
    {"range", TokenKind::kRange},
    {"with", TokenKind::kWith},
    {"break", TokenKind::kBreak},
    {"continue", TokenKind::kContinue},
    {"define", TokenKind::kDefine},
    {"template", TokenKind::kDefine},
    {"block", TokenKind::kDefine},
    {"nil", TokenKind::kNil},
    {".", TokenKind::kDot},
}};

// The white space of the template language; fewer characters than unicode.IsSpace.
bool IsBlank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

bool IsAscii(char c) { return static_cast<unsigned char>(c) < 0x80; }

// Letters beyond ASCII count as letters whatever they are; Go would tell some of them apart.
bool IsAlphanumeric(char c) {
  return c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         !IsAscii(c);
}

}  // namespace

std::string DescribeToken(const Token& token) {
  if (token.kind == TokenKind::kEof) return "EOF";
  if (token.kind == TokenKind::kError) return token.text;
  if (token.kind >= TokenKind::kDot) return "<" + token.text + ">";
  if (RuneCount(token.text) <= 10) return GoQuote(token.text);
  size_t end = 0;
  for (int n = 0; n < 10; ++n) end += DecodeRune(token.text, end).size;
  return GoQuote(std::string_view(token.text).substr(0, end)) + "...";
}

Token TemplateLexer::Next() {
  start_ = pos_;
  if (done_) return Emit(TokenKind::kEof);
  return inside_action_ ? LexInsideAction() : LexText();
}

Token TemplateLexer::Emit(TokenKind kind) {
  Token token{kind, start_, line_, std::string(input_.substr(start_, pos_ - start_))};
  line_ += static_cast<int>(std::ranges::count(token.text, '\n'));
  start_ = pos_;
  return token;
}

Token TemplateLexer::Fail(std::string message) {
  Token token{TokenKind::kError, start_, line_, std::move(message)};
  done_ = true;
  return token;
}

Token TemplateLexer::LexText() {
  const size_t left = input_.find(kLeft, pos_);
  if (left == std::string_view::npos) {
    if (AtEnd()) {
      done_ = true;
      return Emit(TokenKind::kEof);
    }
    pos_ = input_.size();
    return Emit(TokenKind::kText);
  }
  if (left > pos_) {
    pos_ = left;
    Token text = Emit(TokenKind::kText);
    const bool trim =
        left + 3 < input_.size() && input_[left + 2] == '-' && IsBlank(input_[left + 3]);
    while (trim && !text.text.empty() && IsBlank(text.text.back())) text.text.pop_back();
    if (!text.text.empty()) return text;
  }
  return LexLeftDelim();
}

Token TemplateLexer::LexLeftDelim() {
  const bool trim = Peek(2) == '-' && IsBlank(Peek(3));
  const size_t after = kLeft.size() + (trim ? kTrimMarker : 0);
  if (!input_.substr(std::min(pos_ + after, input_.size())).starts_with(kLeftComment)) {
    pos_ += kLeft.size();
    Token token = Emit(TokenKind::kLeftDelim);
    pos_ += after - kLeft.size();
    start_ = pos_;
    inside_action_ = true;
    paren_depth_ = 0;
    return token;
  }
  const size_t close = input_.find(kRightComment, pos_ + after);
  if (close == std::string_view::npos) return Fail("unclosed comment");
  pos_ = close + kRightComment.size();
  bool trim_right = false;
  if (!AtRightDelim(&trim_right)) return Fail("comment ends before closing delimiter");
  pos_ += (trim_right ? kTrimMarker : 0) + kRight.size();
  while (trim_right && !AtEnd() && IsBlank(Peek())) ++pos_;
  Emit(TokenKind::kText);  // counts the comment's lines; nothing else comes of it
  return Token{TokenKind::kText, start_, line_, ""};
}

Token TemplateLexer::LexRightDelim(bool trim) {
  if (trim) pos_ += kTrimMarker;
  start_ = pos_;
  pos_ += kRight.size();
  Token token = Emit(TokenKind::kRightDelim);
  while (trim && !AtEnd() && IsBlank(Peek())) ++pos_;
  if (trim) Emit(TokenKind::kText);
  inside_action_ = false;
  return token;
}

bool TemplateLexer::AtRightDelim(bool* trim) const {
  const std::string_view rest = input_.substr(std::min(pos_, input_.size()));
  *trim = rest.size() > kTrimMarker && IsBlank(rest[0]) && rest[1] == '-' &&
          rest.substr(kTrimMarker).starts_with(kRight);
  return *trim || rest.starts_with(kRight);
}

bool TemplateLexer::AtTerminator() const {
  if (AtEnd()) return true;
  const char c = Peek();
  if (IsBlank(c) || std::string_view(".,|:()").contains(c)) return true;
  return input_.substr(pos_).starts_with(kRight);
}

Token TemplateLexer::BadCharacter() {
  const Rune rune = DecodeRune(input_, pos_);
  std::string text = fmt::format("bad character U+{:04X}", static_cast<uint32_t>(rune.value));
  if (IsPrintable(rune.value)) text += fmt::format(" '{}'", input_.substr(pos_, rune.size));
  return Fail(std::move(text));
}

Token TemplateLexer::LexInsideAction() {
  bool trim = false;
  if (AtRightDelim(&trim)) {
    if (paren_depth_ > 0) return Fail("unclosed left paren");
    return LexRightDelim(trim);
  }
  if (AtEnd()) return Fail("unclosed action");
  const char c = Peek();
  if (IsBlank(c)) {
    // A space may belong to the " -" of a trimming delimiter; that one is not part of this token.
    while (!AtEnd() && IsBlank(Peek()) && !AtRightDelim(&trim)) ++pos_;
    if (pos_ == start_) ++pos_;
    return Emit(TokenKind::kSpace);
  }
  const char next = Peek(1);
  const bool digit_next = next >= '0' && next <= '9';
  switch (c) {
    case '=':
      ++pos_;
      return Emit(TokenKind::kAssign);
    case ':':
      if (next != '=') return Fail("expected :=");
      pos_ += 2;
      return Emit(TokenKind::kDeclare);
    case '|':
      ++pos_;
      return Emit(TokenKind::kPipe);
    case '"':
      return LexQuoted('"');
    case '\'':
      return LexQuoted('\'');
    case '`':
      return LexRawString();
    case '$':
      return LexFieldOrVariable(TokenKind::kVariable);
    case '(':
      ++pos_;
      ++paren_depth_;
      return Emit(TokenKind::kLeftParen);
    case ')':
      if (--paren_depth_ < 0) return Fail("unexpected right paren");
      ++pos_;
      return Emit(TokenKind::kRightParen);
    default:
      break;
  }
  if (c == '.' && !digit_next) return LexFieldOrVariable(TokenKind::kField);
  if (c == '.' || c == '+' || c == '-' || (c >= '0' && c <= '9')) return LexNumber();
  if (IsAlphanumeric(c) && DecodeRune(input_, pos_).valid) return LexIdentifier();
  if (c > ' ' && c <= '~') {
    ++pos_;
    return Emit(TokenKind::kChar);
  }
  Token bad = BadCharacter();
  bad.text = "unrecognized character in action: " + bad.text.substr(sizeof("bad character"));
  return bad;
}

Token TemplateLexer::LexQuoted(char quote) {
  for (++pos_; !AtEnd() && Peek() != '\n'; ++pos_) {
    if (Peek() == quote) {
      ++pos_;
      return Emit(quote == '"' ? TokenKind::kString : TokenKind::kCharConstant);
    }
    if (Peek() == '\\' && pos_ + 1 < input_.size() && Peek(1) != '\n') ++pos_;
  }
  return Fail(quote == '"' ? "unterminated quoted string" : "unterminated character constant");
}

Token TemplateLexer::LexRawString() {
  const size_t close = input_.find('`', pos_ + 1);
  if (close == std::string_view::npos) return Fail("unterminated raw quoted string");
  pos_ = close + 1;
  return Emit(TokenKind::kRawString);
}

bool TemplateLexer::ScanDigits(std::string_view digits) {
  const size_t from = pos_;
  while (!AtEnd() && (Peek() == '_' || digits.contains(Peek()))) ++pos_;
  return pos_ > from;
}

Token TemplateLexer::LexNumber() {
  std::string_view digits = "0123456789";
  if (Peek() == '+' || Peek() == '-') ++pos_;
  if (Peek() == '0') {
    const char base = static_cast<char>(Peek(1) | 0x20);
    if (base == 'x') digits = "0123456789abcdefABCDEF";
    if (base == 'o') digits = "01234567";
    if (base == 'b') digits = "01";
    if (digits != "0123456789") pos_ += 2;
  }
  ScanDigits(digits);
  if (Peek() == '.') {
    ++pos_;
    ScanDigits(digits);
  }
  if (digits.size() == 10 && (Peek() == 'e' || Peek() == 'E')) {
    ++pos_;
    if (Peek() == '+' || Peek() == '-') ++pos_;
    ScanDigits(digits);
  }
  if (!AtEnd() && IsAlphanumeric(Peek())) {
    pos_ += DecodeRune(input_, pos_).size;
    return Fail("bad number syntax: " + GoQuote(input_.substr(start_, pos_ - start_)));
  }
  return Emit(TokenKind::kNumber);
}

Token TemplateLexer::LexIdentifier() {
  while (!AtEnd() && IsAlphanumeric(Peek())) ++pos_;
  if (!AtTerminator()) return BadCharacter();
  const std::string_view word = input_.substr(start_, pos_ - start_);
  if (word == "true" || word == "false") return Emit(TokenKind::kBool);
  const auto* keyword =
      std::ranges::find(kKeywords, word, &std::pair<std::string_view, TokenKind>::first);
  return Emit(keyword == kKeywords.end() ? TokenKind::kIdentifier : keyword->second);
}

Token TemplateLexer::LexFieldOrVariable(TokenKind kind) {
  ++pos_;
  if (AtTerminator()) return Emit(kind == TokenKind::kField ? TokenKind::kDot : kind);
  while (!AtEnd() && IsAlphanumeric(Peek())) ++pos_;
  if (!AtTerminator()) return BadCharacter();
  return Emit(kind);
}

}  // namespace veneer::tools
