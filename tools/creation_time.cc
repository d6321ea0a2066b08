#include "tools/creation_time.h"

#include <charconv>
#include <cstdlib>
#include <string_view>

#include "tools/units.h"

namespace veneer::tools {

std::string CreationTime() {
  if (const char* epoch = std::getenv("SOURCE_DATE_EPOCH")) {
    std::string_view text(epoch);
    Timestamp fixed{0, 0};
    auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), fixed.seconds);
    if (ec == std::errc() && end == text.data() + text.size()) return FormatRfc3339Nano(fixed);
  }
  return FormatRfc3339Nano(Timestamp::Now());
}

}  // namespace veneer::tools
