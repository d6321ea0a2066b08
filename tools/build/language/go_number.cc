#include "tools/build/language/go_number.h"

#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <string>
#include <utility>

#include "tools/build/language/text.h"
#include "tools/go_value.h"

namespace veneer::build {
namespace {

constexpr std::array<std::pair<std::string_view, int64_t>, 8> kUnits = {{
    {"ns", 1},
    {"us", 1'000},
    {"\u00b5s", 1'000},
    {"\u03bcs", 1'000},
    {"ms", 1'000'000},
    {"s", 1'000'000'000},
    {"m", 60'000'000'000},
    {"h", 3'600'000'000'000},
}};

}  // namespace

Result<std::chrono::nanoseconds> ParseDuration(std::string_view text) {
  const std::string quoted = tools::GoQuote(text);
  const auto invalid = [&] { return Invalid("time: invalid duration " + quoted); };
  std::string_view rest = text;
  const bool negative = rest.starts_with('-');
  if (negative || rest.starts_with('+')) rest.remove_prefix(1);
  if (rest == "0") return std::chrono::nanoseconds(0);
  if (rest.empty()) return invalid();
  double total = 0;
  while (!rest.empty()) {
    const size_t number_size = std::min(rest.find_first_not_of("0123456789."), rest.size());
    const std::string_view number = rest.substr(0, number_size);
    rest.remove_prefix(number_size);
    const size_t dots = number.find('.');
    if (number.empty() || number == "." ||
        (dots != std::string_view::npos && number.find('.', dots + 1) != std::string_view::npos))
      return invalid();
    double value = 0;
    if (std::from_chars(number.data(), number.data() + number.size(), value).ec != std::errc())
      return invalid();
    const size_t unit_size = std::min(rest.find_first_of("0123456789."), rest.size());
    const std::string_view unit = rest.substr(0, unit_size);
    rest.remove_prefix(unit_size);
    if (unit.empty()) return Invalid("time: missing unit in duration " + quoted);
    const auto* const found =
        std::ranges::find(kUnits, unit, &std::pair<std::string_view, int64_t>::first);
    if (found == kUnits.end()) {
      return Invalid("time: unknown unit " + tools::GoQuote(unit) + " in duration " + quoted);
    }
    total += value * static_cast<double>(found->second);
    if (total >= static_cast<double>(std::numeric_limits<int64_t>::max())) return invalid();
  }
  const auto rounded = static_cast<int64_t>(std::llround(total));
  return std::chrono::nanoseconds(negative ? -rounded : rounded);
}

Result<int32_t> ParseInt32(std::string_view text) {
  std::string_view digits = text;
  if (digits.starts_with('+')) digits.remove_prefix(1);
  int32_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  const bool complete = end == digits.data() + digits.size() && !digits.starts_with("+-") &&
                        !(text.starts_with('+') && digits.starts_with('-'));
  if (error == std::errc() && complete) return value;
  const bool big = error == std::errc::result_out_of_range && complete;
  return Invalid("strconv.ParseInt: parsing " + tools::GoQuote(text) +
                 (big ? ": value out of range" : ": invalid syntax"));
}

std::optional<uint32_t> ParseUint32(std::string_view text, int base) {
  uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<bool> ParseBool(std::string_view text) {
  for (const std::string_view yes : {"1", "t", "T", "true", "TRUE", "True"}) {
    if (text == yes) return true;
  }
  for (const std::string_view no : {"0", "f", "F", "false", "FALSE", "False"}) {
    if (text == no) return false;
  }
  return std::nullopt;
}

std::optional<int64_t> ParseMemorySize(std::string_view text) {
  const size_t last = text.find_last_of("0123456789. ");
  if (last == std::string_view::npos) return std::nullopt;
  const std::string_view number = text.substr(0, text[last] == ' ' ? last : last + 1);
  const std::string suffix = ToLower(text.substr(last + 1));
  double size = 0;
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), size);
  if (error != std::errc() || end != number.data() + number.size() || !(size >= 0))
    return std::nullopt;
  if (!suffix.empty() && suffix != "b") {
    const size_t power = std::string_view("kmgtpezy").find(suffix.front());
    const std::string_view rest = std::string_view(suffix).substr(1);
    if (power == std::string_view::npos || (!rest.empty() && rest != "b" && rest != "ib"))
      return std::nullopt;
    size *= std::pow(1024.0, static_cast<double>(power + 1));
  }
  if (size >= static_cast<double>(std::numeric_limits<int64_t>::max())) return std::nullopt;
  return static_cast<int64_t>(size);
}

}  // namespace veneer::build
