#include "tools/build/language/source_excerpt.h"

#include <fmt/format.h>

#include <algorithm>

#include "tools/build/language/text.h"

namespace veneer::build {

std::string SourceExcerpt(std::string_view filename, std::string_view text,
                          std::span<const Lines> places) {
  if (places.empty()) return "";
  const std::vector<std::string> lines = Split(text, '\n');
  const int count = static_cast<int>(lines.size());
  int first = std::ranges::min(places, {}, &Lines::first).first;
  int last = std::ranges::max(places, {}, &Lines::last).last;
  if (first < 1 || first > count) return "";
  last = std::clamp(last, first, count);

  std::string out = fmt::format("{}:{}\n--------------------\n", filename, first);
  // A single line gets a little more around it; a step that finds no line above or below counts.
  const int around = first == last ? 4 : 2;
  for (int added = 0; added < around; ++added) {
    if (first > 1) {
      --first;
      ++added;
    }
    if (last < count) {
      ++last;
      ++added;
    }
  }
  for (int number = first; number <= last; ++number) {
    const bool meant = std::ranges::any_of(places, [number](const Lines& place) {
      return place.first <= number && number <= std::max(place.first, place.last);
    });
    out += fmt::format(" {:3} | {} {}\n", number, meant ? ">>>" : "   ", lines[number - 1]);
  }
  return out + "--------------------\n";
}

std::string ErrorExcerpts(std::string_view filename, std::string_view text,
                          const DockerfileError& error) {
  std::string out;
  for (const Lines& place : error.places) out += SourceExcerpt(filename, text, {&place, 1});
  return out;
}

}  // namespace veneer::build
