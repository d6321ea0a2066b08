// Messages of the daemon: to stderr in the foreground, else to syslog or a file. Thread-safe.
#pragma once

#include <fmt/format.h>

#include <string>

#include "store/base/result.h"

namespace veneer::fs {

enum class LogLevel { kDebug, kInfo, kWarning, kError };

// Where messages go from now on. Until the first call: stderr, without debug messages.
void LogToStderr(bool debug);
void LogToSyslog();
Result<> LogToFile(const std::string& path, bool debug);

bool LogsDebug();
void LogLine(LogLevel level, const std::string& line);

template <typename... Args>
void Log(LogLevel level, fmt::format_string<Args...> format, Args&&... args) {
  if (level == LogLevel::kDebug && !LogsDebug()) return;
  LogLine(level, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace veneer::fs
