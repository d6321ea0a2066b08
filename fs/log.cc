#include "fs/log.h"

#include <fcntl.h>
#include <syslog.h>

#include <atomic>
#include <ctime>

#include "store/base/beneath.h"
#include "store/base/unique_fd.h"

namespace veneer::fs {

namespace {

constexpr int kSyslog = -1;
std::atomic<int> target{STDERR_FILENO};
std::atomic<bool> debug_on{false};

const char* Word(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return "debug: ";
    case LogLevel::kInfo:
      return "";
    case LogLevel::kWarning:
      return "warning: ";
    case LogLevel::kError:
      return "error: ";
  }
  return "";
}

int Priority(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return LOG_DEBUG;
    case LogLevel::kInfo:
      return LOG_INFO;
    case LogLevel::kWarning:
      return LOG_WARNING;
    case LogLevel::kError:
      return LOG_ERR;
  }
  return LOG_INFO;
}

}  // namespace

void LogToStderr(bool debug) {
  target = STDERR_FILENO;
  debug_on = debug;
}

void LogToSyslog() {
  openlog("veneerfs", LOG_PID, LOG_DAEMON);
  target = kSyslog;
}

Result<> LogToFile(const std::string& path, bool debug) {
  TRY_ASSIGN(UniqueFd fd, OpenAt(AT_FDCWD, path, O_WRONLY | O_APPEND | O_CREAT, 0600));
  target = fd.Release();  // open for the life of the process
  debug_on = debug;
  return {};
}

bool LogsDebug() { return debug_on; }

void LogLine(LogLevel level, const std::string& line) {
  int fd = target;
  if (fd == kSyslog) {
    syslog(Priority(level), "%s%s", Word(level), line.c_str());
    return;
  }
  std::string text;
  if (fd != STDERR_FILENO) {
    time_t now = time(nullptr);
    struct tm utc = {};
    char stamp[32];
    if (gmtime_r(&now, &utc) != nullptr && strftime(stamp, sizeof stamp, "%FT%TZ ", &utc) > 0) {
      text += stamp;
    }
  }
  text += std::string("veneerfs: ") + Word(level) + line + "\n";
  if (!WriteAll(fd, text)) return;  // there is nobody left to tell
}

}  // namespace veneer::fs
