#include "tools/template_literal.h"

#include <charconv>
#include <cstdint>
#include <optional>
#include <string>
#include <system_error>

#include "tools/utf8.h"

namespace veneer::tools {
namespace {

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// `count` digits of `base` at `pos`.
std::optional<uint32_t> EscapedNumber(std::string_view text, size_t pos, size_t count, int base) {
  if (text.size() - pos < count) return std::nullopt;
  uint32_t value = 0;
  for (size_t i = pos; i < pos + count; ++i) {
    const int digit = HexDigit(text[i]);
    if (digit < 0 || digit >= base) return std::nullopt;
    value = value * static_cast<uint32_t>(base) + static_cast<uint32_t>(digit);
  }
  return value;
}

// strconv.UnquoteChar: appends what the escape at `pos` (after the backslash) means and moves past
// it.
bool Unescape(std::string_view text, size_t& pos, char quote, std::string& out) {
  if (pos >= text.size()) return false;
  const char c = text[pos++];
  constexpr std::string_view kLetters = "abtnvfr";
  if (const size_t letter = kLetters.find(c); letter != std::string_view::npos) {
    out.push_back(static_cast<char>(7 + letter));
    return true;
  }
  if (c == '\\' || c == quote) {
    out.push_back(c);
    return true;
  }
  const size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
  if (digits > 0) {
    const auto value = EscapedNumber(text, pos, digits, 16);
    if (!value) return false;
    pos += digits;
    if (c == 'x') {
      out.push_back(static_cast<char>(*value));
      return true;
    }
    if (*value > 0x10FFFF || (*value >= 0xD800 && *value <= 0xDFFF)) return false;
    AppendRune(out, *value);
    return true;
  }
  const auto octal = EscapedNumber(text, pos - 1, 3, 8);
  if (!octal || *octal > 255) return false;
  pos += 2;
  out.push_back(static_cast<char>(*octal));
  return true;
}

// What stands between the quotes of `text`.
std::optional<std::string> Unquote(std::string_view text) {
  const char quote = text.front();
  const std::string_view inner = text.substr(1, text.size() - 2);
  std::string out;
  for (size_t pos = 0; pos < inner.size();) {
    if (inner[pos] != '\\') {
      out.push_back(inner[pos++]);
    } else if (!Unescape(inner, ++pos, quote, out)) {
      return std::nullopt;
    }
  }
  return out;
}

Result<Json> ParseNumber(const std::string& source) {
  const auto bad = [&] { return Invalid("bad number syntax: " + GoQuote(source)); };
  std::string text;
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '_') {
      text.push_back(source[i]);
      continue;
    }
    // An underscore separates digits.
    const bool between = i > 0 && HexDigit(source[i - 1]) >= 0 && i + 1 < source.size() &&
                         HexDigit(source[i + 1]) >= 0;
    const bool after_base =
        i == 2 && source[0] == '0' && i + 1 < source.size() && HexDigit(source[i + 1]) >= 0;
    if (!between && !after_base) return bad();
  }
  const bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) text.erase(0, 1);
  int base = 10;
  const char mark = text.size() > 2 && text[0] == '0' ? static_cast<char>(text[1] | 0x20) : ' ';
  if (mark == 'x') base = 16;
  if (mark == 'o') base = 8;
  if (mark == 'b') base = 2;
  const bool whole = base != 10 || text.find_first_of(".eE") == std::string::npos;
  if (whole) {
    if (base != 10) text.erase(0, 2);
    if (base == 10 && text.size() > 1 && text[0] == '0') base = 8;
    uint64_t value = 0;
    const char* const last = text.data() + text.size();
    const auto [end, error] = std::from_chars(text.data(), last, value, base);
    const uint64_t limit = static_cast<uint64_t>(INT64_MAX) + (negative ? 1 : 0);
    if (error == std::errc::invalid_argument || end != last) return bad();
    if (error != std::errc() || value > limit)
      return Invalid("integer overflow: " + GoQuote(source));
    return Json(static_cast<int64_t>(negative ? 0 - value : value));
  }
  double value = 0;
  const char* const last = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data(), last, value);
  if (error != std::errc() || end != last) return bad();
  return Json(negative ? -value : value);
}

}  // namespace

Result<Json> ParseLiteral(const Token& token) {
  switch (token.kind) {
    case TokenKind::kBool:
      return Json(token.text == "true");
    case TokenKind::kNumber:
      return ParseNumber(token.text);
    case TokenKind::kRawString: {
      std::string text = token.text.substr(1, token.text.size() - 2);
      std::erase(text, '\r');
      return Json(std::move(text));
    }
    case TokenKind::kCharConstant: {
      const std::optional<std::string> text = Unquote(token.text);
      if (!text) return Invalid("invalid syntax");
      const bool one = !text->empty() && DecodeRune(*text, 0).size == text->size();
      if (!one) return Invalid("malformed character constant: " + token.text);
      return Json(static_cast<int64_t>(DecodeRune(*text, 0).value));
    }
    default: {
      std::optional<std::string> text = Unquote(token.text);
      if (!text) return Invalid("invalid syntax");
      return Json(std::move(*text));
    }
  }
}

}  // namespace veneer::tools
