// UTF-8 as Go reads it: a byte that starts no valid sequence is one U+FFFD and one byte long.
//
// Used wherever output has to agree with Docker's on text that may hold anything: columns, quotes,
// ellipses.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace veneer::tools {

inline constexpr char32_t kReplacementRune = 0xFFFD;

struct Rune {
  char32_t value = 0;
  size_t size = 0;  // bytes it took; 1 for a byte that is not UTF-8
  bool valid = true;
};

// The rune at `pos`. REQUIRES: pos < text.size().
Rune DecodeRune(std::string_view text, size_t pos);

// Appends `rune` as UTF-8; U+FFFD for what is no Unicode scalar value.
void AppendRune(std::string& out, char32_t rune);

size_t RuneCount(std::string_view text);

// Columns a terminal needs: 2 for East Asian wide runes, 1 for everything else (as Docker counts).
int RuneWidth(char32_t rune);

// strconv.IsPrint, near enough for quoting: letters, marks, symbols and the ASCII space.
bool IsPrintable(char32_t rune);

// unicode.IsSpace, and the same for a single byte.
bool IsSpaceRune(char32_t rune);
inline bool IsSpace(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

}  // namespace veneer::tools
