#include "fs/process_watch.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "fs/log.h"

namespace veneer::fs {
namespace {

// The thread group that is the process; 0 where it cannot be seen.
pid_t ProcessOf(pid_t thread) {
  std::ifstream status("/proc/" + std::to_string(thread) + "/status");
  constexpr std::string_view kProcess = "Tgid:";
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(kProcess)) return std::atoi(line.c_str() + kProcess.size());
  }
  return 0;
}

UniqueFd OpenProcess(pid_t thread) {
  pid_t process = ProcessOf(thread);
  if (process <= 0) return UniqueFd();
  return UniqueFd(static_cast<int>(syscall(SYS_pidfd_open, process, 0)));
}

}  // namespace

ProcessWatch::ProcessWatch(pid_t thread, std::function<void()> ended)
    : ended_(std::move(ended)), process_(OpenProcess(thread)), enough_(eventfd(0, EFD_CLOEXEC)) {
  if (!process_ || !enough_) return;
  try {
    thread_ = std::thread([this] { Watch(); });
  } catch (const std::system_error& error) {
    Log(LogLevel::kWarning, "process {} is not watched: {}", thread, error.what());
  }
}

ProcessWatch::~ProcessWatch() {
  if (!thread_.joinable()) return;
  uint64_t one = 1;
  (void)!write(enough_.get(), &one, sizeof one);
  thread_.join();
}

void ProcessWatch::Watch() {
  struct pollfd waiting[] = {{process_.get(), POLLIN, 0}, {enough_.get(), POLLIN, 0}};
  while (poll(waiting, 2, -1) < 0 && errno == EINTR) {
  }
  if (waiting[1].revents == 0 && waiting[0].revents != 0) ended_();
}

}  // namespace veneer::fs
