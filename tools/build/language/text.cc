#include "tools/build/language/text.h"

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <numeric>

#include "tools/utf8.h"

namespace veneer::build {
namespace {

std::string_view TrimRightSpace(std::string_view text) {
  while (!text.empty()) {
    size_t start = text.size() - 1;
    while (start > 0 && text.size() - start < 4 &&
           (static_cast<uint8_t>(text[start]) & 0xC0) == 0x80)
      --start;
    const tools::Rune rune = tools::DecodeRune(text, start);
    if (start + rune.size != text.size() || !rune.valid || !tools::IsSpaceRune(rune.value)) break;
    text.remove_suffix(rune.size);
  }
  return text;
}

bool IsBlank(char c) { return tools::IsSpace(c) && c != '\n'; }

// Levenshtein's distance between short words, byte by byte.
size_t Distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i + 1;
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t substituted = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({substituted, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

}  // namespace

std::string_view TrimLeftSpace(std::string_view text) {
  while (!text.empty()) {
    const tools::Rune rune = tools::DecodeRune(text, 0);
    if (!rune.valid || !tools::IsSpaceRune(rune.value)) break;
    text.remove_prefix(rune.size);
  }
  return text;
}

std::string_view TrimSpace(std::string_view text) { return TrimRightSpace(TrimLeftSpace(text)); }

std::string ToLower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

std::string ToUpper(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return out;
}

bool EqualFold(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, [](char x, char y) {
    return std::tolower(static_cast<unsigned char>(x)) ==
           std::tolower(static_cast<unsigned char>(y));
  });
}

std::vector<std::string> SplitBlank(std::string_view text, size_t limit) {
  std::vector<std::string> fields;
  while (limit == 0 || fields.size() + 1 < limit) {
    const auto* const end = std::ranges::find_if(text, IsBlank);
    if (end == text.end()) break;
    fields.emplace_back(text.begin(), end);
    text = {std::find_if_not(end, text.end(), IsBlank), text.end()};
  }
  fields.emplace_back(text);
  return fields;
}

std::vector<std::string> Split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  while (true) {
    const size_t end = text.find(separator);
    parts.emplace_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

std::string Join(const std::vector<std::string>& parts, std::string_view separator) {
  std::string out;
  for (const std::string& part : parts) {
    if (&part != &parts.front()) out += separator;
    out += part;
  }
  return out;
}

std::string Suggestion(std::string_view word, const std::vector<std::string>& options,
                       bool match_case) {
  constexpr size_t kFar = 3;
  std::string best;
  size_t nearest = kFar;
  const std::string wanted = match_case ? std::string(word) : ToLower(word);
  for (const std::string& option : options) {
    const std::string candidate = match_case ? option : ToLower(option);
    if (candidate == wanted) return "";
    // A longer difference in length alone is too far; this also bounds the work.
    if (std::max(candidate.size(), wanted.size()) - std::min(candidate.size(), wanted.size()) >=
        kFar)
      continue;
    if (wanted.size() > 256) continue;
    const size_t distance = Distance(wanted, candidate);
    if (distance >= nearest) continue;
    nearest = distance;
    best = candidate;
  }
  if (!match_case && word == ToUpper(word)) return ToUpper(best);
  return best;
}

std::string DidYouMean(std::string_view word, const std::vector<std::string>& options,
                       bool match_case) {
  const std::string found = Suggestion(word, options, match_case);
  return found.empty() ? "" : " (did you mean " + found + "?)";
}

std::string CleanPath(std::string_view path) {
  const bool rooted = path.starts_with('/');
  std::vector<std::string> parts;
  for (std::string& part : Split(path, '/')) {
    if (part.empty() || part == ".") continue;
    if (part != "..") {
      parts.push_back(std::move(part));
    } else if (!parts.empty() && parts.back() != "..") {
      parts.pop_back();
    } else if (!rooted) {
      parts.push_back(std::move(part));
    }
  }
  const std::string joined = Join(parts, "/");
  if (rooted) return "/" + joined;
  return joined.empty() ? "." : joined;
}

}  // namespace veneer::build
