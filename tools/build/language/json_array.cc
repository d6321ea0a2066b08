#include "tools/build/language/json_array.h"

#include <nlohmann/json.hpp>

#include "tools/build/language/text.h"
#include "tools/utf8.h"

namespace veneer::build {
namespace {

// The four hexadecimal digits of \uXXXX at `pos`, or 0.
unsigned EscapedUnit(std::string_view text, size_t pos) {
  if (!text.substr(pos).starts_with("\\u") || pos + 6 > text.size()) return 0;
  unsigned unit = 0;
  for (const char c : text.substr(pos + 2, 4)) {
    const size_t digit = std::string_view("0123456789abcdef").find(ToLower({&c, 1}));
    if (digit == std::string_view::npos) return 0;
    unit = unit * 16 + static_cast<unsigned>(digit);
  }
  return unit;
}

bool IsHigh(unsigned unit) { return unit >= 0xD800 && unit < 0xDC00; }
bool IsLow(unsigned unit) { return unit >= 0xDC00 && unit < 0xE000; }

// What Go would replace, replaced; the rest as it is.
std::string Sanitized(std::string_view text) {
  std::string out;
  for (size_t pos = 0; pos < text.size();) {
    if (text[pos] == '\\') {
      const unsigned unit = EscapedUnit(text, pos);
      size_t size = unit == 0 ? 2 : 6;
      if (IsHigh(unit) && IsLow(EscapedUnit(text, pos + 6))) {
        size = 12;
      } else if (IsHigh(unit) || IsLow(unit)) {
        out += "\\ufffd";
        pos += 6;
        continue;
      }
      out += text.substr(pos, size);
      pos += size;
      continue;
    }
    const tools::Rune rune = tools::DecodeRune(text, pos);
    tools::AppendRune(out, rune.value);
    pos += rune.size;
  }
  return out;
}

}  // namespace

Result<std::optional<std::vector<std::string>>> ParseJsonArray(std::string_view text) {
  text = TrimLeftSpace(text);
  // For nlohmann's parser a NUL is the end.
  if (!text.starts_with('[') || text.contains('\0')) return std::nullopt;
  nlohmann::json array = nlohmann::json::parse(Sanitized(text), nullptr, false);
  if (array.is_discarded()) return std::nullopt;
  std::vector<std::string> words;
  for (const nlohmann::json& element : array) {
    if (!element.is_string())
      return Invalid("when using JSON array syntax, arrays must be comprised of strings only");
    words.push_back(element.get<std::string>());
  }
  return words;
}

}  // namespace veneer::build
