#include "tools/build/run/program.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string_view>
#include <utility>

#include "store/base/unique_fd.h"
#include "tools/build/run/child_process.h"

extern char** environ;

namespace veneer::build {
namespace {

constexpr size_t kKept = 4096;  // bytes of standard error
constexpr int kTickMs = 100;

std::string LastLine(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
  return text.substr(text.rfind('\n') + 1);  // npos + 1 == 0
}

// What the program says, until it ends or is to end.
Result<std::string> Listen(int fd, const std::function<bool()>& cancelled) {
  std::string said;
  for (;;) {
    if (cancelled && cancelled()) return Fail(ECANCELED, "program");
    struct pollfd poll_fd = {fd, POLLIN, 0};
    if (poll(&poll_fd, 1, kTickMs) <= 0) continue;
    char buffer[4096];
    const ssize_t n = read(fd, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return said;
    said.append(buffer, static_cast<size_t>(n));
    if (said.size() > 2 * kKept) said.erase(0, said.size() - kKept);
  }
}

}  // namespace

Result<> RunQuietly(const std::vector<std::string>& words, const ProgramOptions& options) {
  std::vector<std::string> command = words;
  command[0] = FindProgram(words[0]);
  if (command[0].empty()) return Invalid(words[0] + " is not installed", ENOENT);
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return Errno("pipe");
  const UniqueFd read_end(ends[0]);
  UniqueFd write_end(ends[1]);
  std::vector<std::string> env = options.env;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view ours = *entry;
    if (!options.env_without.empty() && ours.starts_with(options.env_without)) continue;
    env.emplace_back(ours);
  }
  TRY_ASSIGN(ChildProcess child, ChildProcess::Start(command, -1, write_end.get(),
                                                     {options.directory, std::move(env)}));
  write_end.Reset();
  TRY_ASSIGN(const std::string said, Listen(read_end.get(), options.cancelled));
  TRY_ASSIGN(const int status, child.Wait());
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  const std::string last = LastLine(said);
  if (last.empty()) return Invalid(words[0] + " failed", EIO);
  return Invalid(last.starts_with(words[0]) ? last : words[0] + ": " + last, EIO);
}

}  // namespace veneer::build
