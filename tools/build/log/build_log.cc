#include "tools/build/log/build_log.h"

#include <unistd.h>

#include <cstdlib>

#include "tools/build/log/plain_log.h"
#include "tools/build/log/rawjson_log.h"
#include "tools/build/log/tty_log.h"
#include "tools/build/log/vertex_log.h"

namespace veneer::build {

Result<ProgressMode> ParseProgressMode(std::string_view text) {
  if (text == "auto") return ProgressMode::kAuto;
  if (text == "plain") return ProgressMode::kPlain;
  if (text == "tty") return ProgressMode::kTty;
  if (text == "rawjson") return ProgressMode::kRawJson;
  if (text == "quiet") return ProgressMode::kQuiet;
  return Invalid("invalid progress mode " + std::string(text) +
                 ": one of auto, plain, tty, rawjson, quiet expected");
}

std::unique_ptr<BuildLog> BuildLog::Create(ProgressMode mode, int fd) {
  if (mode == ProgressMode::kAuto)
    mode = isatty(fd) == 1 ? ProgressMode::kTty : ProgressMode::kPlain;
  LogClock clock = StartLogClock();
  switch (mode) {
    case ProgressMode::kTty:
      return std::make_unique<TtyLog>(fd, std::move(clock), std::getenv("NO_COLOR") == nullptr);
    case ProgressMode::kRawJson:
      return std::make_unique<RawJsonLog>(fd, std::move(clock));
    case ProgressMode::kQuiet:
      return std::make_unique<QuietLog>(fd, std::move(clock));
    case ProgressMode::kAuto:
    case ProgressMode::kPlain:
      break;
  }
  return std::make_unique<PlainLog>(fd, std::move(clock), true);
}

}  // namespace veneer::build
