// The lexer of the template language: text outside {{ }}, and the tokens inside, one at a time.
//
// Follows Go's text/template/parse/lex.go, so that errors read as Docker's. Its own state is a
// position: it never looks back, and the input must outlive it.
#pragma once

#include <string>
#include <string_view>

namespace veneer::tools {

enum class TokenKind {
  kError,  // text is the message
  kEof,
  kText,
  kLeftDelim,
  kRightDelim,
  kSpace,
  kPipe,
  kAssign,   // =
  kDeclare,  // :=
  kLeftParen,
  kRightParen,
  kChar,  // any other printable ASCII, such as ','
  kBool,
  kCharConstant,
  kNumber,
  kString,     // with its quotes
  kRawString,  // with its back quotes
  kIdentifier,
  kField,     // .Name
  kVariable,  // $name or $
  // Keywords; they sort last.
  kDot,
  kNil,
  kIf,
  kElse,
  kEnd,
  kRange,
  kWith,
  kBreak,
  kContinue,
  kDefine,  // define, template and block: known, so that the parser can say they are not supported
};

struct Token {
  TokenKind kind = TokenKind::kEof;
  size_t pos = 0;  // byte offset of its first character
  int line = 1;
  std::string text;
};

// How an error message shows the token: "EOF", <keyword>, or the text quoted, shortened to 10
// characters.
std::string DescribeToken(const Token& token);

class TemplateLexer {
 public:
  explicit TemplateLexer(std::string_view input) : input_(input) {}

  // The next token. After kError or kEof there is nothing more to read: kEof again.
  Token Next();

 private:
  Token LexText();
  Token LexLeftDelim();
  Token LexRightDelim(bool trim);
  Token LexInsideAction();
  Token LexQuoted(char quote);
  Token LexRawString();
  Token LexNumber();
  Token LexIdentifier();
  Token LexFieldOrVariable(TokenKind kind);

  Token Emit(TokenKind kind);
  Token Fail(std::string message);
  bool ScanDigits(std::string_view digits);
  bool AtRightDelim(bool* trim) const;
  bool AtTerminator() const;
  // "bad character U+007D '}'" for the rune at pos_.
  Token BadCharacter();
  char Peek(size_t ahead = 0) const {
    return pos_ + ahead < input_.size() ? input_[pos_ + ahead] : '\0';
  }
  bool AtEnd() const { return pos_ >= input_.size(); }

  std::string_view input_;
  size_t pos_ = 0;
  size_t start_ = 0;
  int line_ = 1;
  int paren_depth_ = 0;
  bool inside_action_ = false;
  bool done_ = false;
};

}  // namespace veneer::tools
