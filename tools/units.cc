#include "tools/units.h"

#include <fmt/format.h>

#include <array>
#include <cstdio>
#include <ctime>
#include <optional>

#include "tools/utf8.h"

namespace veneer::tools {
namespace {

std::tm LocalTime(int64_t seconds) {
  std::tm out{};
  const time_t time = seconds;
  localtime_r(&time, &out);
  return out;
}

std::string DateAndTime(const std::tm& tm, char between) {
  return fmt::format("{:04}-{:02}-{:02}{}{:02}:{:02}:{:02}", tm.tm_year + 1900, tm.tm_mon + 1,
                     tm.tm_mday, between, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

// "+01:00", with `between` between hours and minutes.
std::string Offset(const std::tm& tm, std::string_view between) {
  const long minutes = std::labs(tm.tm_gmtoff) / 60;
  return fmt::format("{}{:02}{}{:02}", tm.tm_gmtoff < 0 ? '-' : '+', minutes / 60, between,
                     minutes % 60);
}

// Reads fixed-width numbers and separators off the front of a text.
class FieldReader {
 public:
  explicit FieldReader(std::string_view text) : text_(text) {}

  bool Take(char c) {
    if (!text_.starts_with(c)) return false;
    text_.remove_prefix(1);
    return true;
  }
  std::optional<int> Number(size_t digits, int least, int most) {
    if (text_.size() < digits) return std::nullopt;
    int value = 0;
    for (const char c : text_.substr(0, digits)) {
      if (c < '0' || c > '9') return std::nullopt;
      value = value * 10 + (c - '0');
    }
    if (value < least || value > most) return std::nullopt;
    text_.remove_prefix(digits);
    return value;
  }
  // Decimals, cut to nanoseconds; at least one digit.
  std::optional<int32_t> Fraction() {
    int32_t nanos = 0;
    int digits = 0;
    while (!text_.empty() && text_[0] >= '0' && text_[0] <= '9') {
      if (digits < 9) nanos = nanos * 10 + (text_[0] - '0');
      ++digits;
      text_.remove_prefix(1);
    }
    if (digits == 0) return std::nullopt;
    for (; digits < 9; ++digits) nanos *= 10;
    return nanos;
  }
  bool AtEnd() const { return text_.empty(); }

 private:
  std::string_view text_;
};

std::optional<Timestamp> ReadRfc3339(std::string_view text) {
  FieldReader in(text);
  const auto year = in.Number(4, 0, 9999);
  if (!year || !in.Take('-')) return std::nullopt;
  const auto month = in.Number(2, 1, 12);
  if (!month || !in.Take('-')) return std::nullopt;
  const auto day = in.Number(2, 1, 31);
  if (!day || !in.Take('T')) return std::nullopt;
  const auto hour = in.Number(2, 0, 23);
  if (!hour || !in.Take(':')) return std::nullopt;
  const auto minute = in.Number(2, 0, 59);
  if (!minute || !in.Take(':')) return std::nullopt;
  const auto second = in.Number(2, 0, 59);
  if (!second) return std::nullopt;
  Timestamp time;
  if (in.Take('.') || in.Take(',')) {
    const auto nanos = in.Fraction();
    if (!nanos) return std::nullopt;
    time.nanos = *nanos;
  }
  int offset = 0;
  if (!in.Take('Z')) {
    const bool west = in.Take('-');
    if (!west && !in.Take('+')) return std::nullopt;
    const auto hours = in.Number(2, 0, 24);
    if (!hours || !in.Take(':')) return std::nullopt;
    const auto minutes = in.Number(2, 0, 59);
    if (!minutes) return std::nullopt;
    offset = (*hours * 60 + *minutes) * (west ? -60 : 60);
  }
  if (!in.AtEnd()) return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year(*year), std::chrono::month(*month),
                                         std::chrono::day(*day)};
  if (!date.ok()) return std::nullopt;
  const int64_t days = std::chrono::sys_days(date).time_since_epoch().count();
  time.seconds = ((days * 24 + *hour) * 60 + *minute) * 60 + *second - offset;
  return time;
}

}  // namespace

std::string HumanSize(uint64_t bytes) {
  constexpr std::array<const char*, 7> kUnits = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
  auto size = static_cast<double>(bytes);
  size_t unit = 0;
  for (; size >= 1000 && unit + 1 < kUnits.size(); ++unit) size /= 1000;
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.3g%s", size, kUnits[unit]);
  return text.data();
}

std::string HumanDuration(std::chrono::seconds duration) {
  const int64_t seconds = duration.count();
  const int64_t minutes = seconds / 60;
  const int64_t hours = (seconds + 1800) / 3600;
  if (seconds < 1) return "Less than a second";
  if (seconds == 1) return "1 second";
  if (seconds < 60) return fmt::format("{} seconds", seconds);
  if (minutes == 1) return "About a minute";
  if (minutes < 60) return fmt::format("{} minutes", minutes);
  if (hours == 1) return "About an hour";
  if (hours < 48) return fmt::format("{} hours", hours);
  if (hours < 24 * 7 * 2) return fmt::format("{} days", hours / 24);
  if (hours < 24 * 30 * 2) return fmt::format("{} weeks", hours / 24 / 7);
  if (hours < 24 * 365 * 2) return fmt::format("{} months", hours / 24 / 30);
  return fmt::format("{} years", seconds / 3600 / 24 / 365);
}

Timestamp Timestamp::Now() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return {now.tv_sec, static_cast<int32_t>(now.tv_nsec)};
}

std::string HumanSince(int64_t then, int64_t now) {
  if (then <= 0) return "N/A";
  return HumanDuration(std::chrono::seconds(now - then)) + " ago";
}

std::string FormatRfc3339Nano(const Timestamp& time) {
  std::tm tm{};
  const time_t seconds = time.seconds;
  gmtime_r(&seconds, &tm);
  std::string out = DateAndTime(tm, 'T');
  if (time.nanos != 0) {
    out += fmt::format(".{:09}", time.nanos);
    out.erase(out.find_last_not_of('0') + 1);
  }
  return out + "Z";
}

std::string FormatRfc3339Local(int64_t seconds) {
  const std::tm tm = LocalTime(seconds);
  return DateAndTime(tm, 'T') + (tm.tm_gmtoff == 0 ? "Z" : Offset(tm, ":"));
}

std::string FormatLocalTime(int64_t seconds) {
  const std::tm tm = LocalTime(seconds);
  return fmt::format("{} {} {}", DateAndTime(tm, ' '), Offset(tm, ""), tm.tm_zone);
}

Result<Timestamp> ParseRfc3339(std::string_view text) {
  const std::optional<Timestamp> time = ReadRfc3339(text);
  if (!time) return Invalid("invalid time, RFC 3339 expected");
  return *time;
}

std::string ShortId(std::string_view id) {
  if (const size_t colon = id.find(':'); colon != std::string_view::npos)
    id.remove_prefix(colon + 1);
  return std::string(id.substr(0, 12));
}

std::string Ellipsis(std::string_view text, int columns) {
  if (columns <= 0) return "";
  int width = 0;
  size_t fits = 0;  // bytes that leave a column for the ellipsis
  for (size_t pos = 0; pos < text.size();) {
    const Rune rune = DecodeRune(text, pos);
    width += RuneWidth(rune.value);
    pos += rune.size;
    if (width <= columns - 1) fits = pos;
    if (width > columns) return std::string(text.substr(0, fits)) + "…";
  }
  return std::string(text);
}

}  // namespace veneer::tools
