#include "tools/signal_name.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <string_view>

namespace veneer::tools {
namespace {

std::string Upper(std::string text) {
  for (char& c : text) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return text;
}

}  // namespace

bool IsSignal(const std::string& text) {
  constexpr std::array<std::string_view, 38> kNames = {
      "ABRT",   "ALRM",  "BUS",  "CHLD", "CLD",  "CONT", "FPE",  "HUP",   "ILL",  "INT",
      "IO",     "IOT",   "KILL", "PIPE", "POLL", "PROF", "PWR",  "QUIT",  "SEGV", "STKFLT",
      "STOP",   "SYS",   "TERM", "TRAP", "TSTP", "TTIN", "TTOU", "URG",   "USR1", "USR2",
      "VTALRM", "WINCH", "XCPU", "XFSZ", "EMT",  "INFO", "LOST", "UNUSED"};
  int number = 0;
  const char* const last = text.data() + text.size();
  if (const auto [end, error] = std::from_chars(text.data(), last, number);
      error == std::errc() && end == last) {
    return number >= 1 && number <= 64;
  }
  std::string name = Upper(text);
  if (name.starts_with("SIG")) name.erase(0, 3);
  if (std::ranges::find(kNames, name) != kNames.end()) return true;
  if (name == "RTMIN" || name == "RTMAX") return true;
  const bool from_min = name.starts_with("RTMIN+");
  if (!from_min && !name.starts_with("RTMAX-")) return false;
  const auto [end, error] = std::from_chars(name.data() + 6, name.data() + name.size(), number);
  return error == std::errc() && end == name.data() + name.size() && number >= 1 &&
         number <= (from_min ? 15 : 14);
}

}  // namespace veneer::tools
