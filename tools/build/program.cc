#include "tools/build/program.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>

#include "store/base/unique_fd.h"

extern char** environ;

namespace veneer::build {
namespace {

constexpr size_t kKept = 4096;  // bytes of standard error
constexpr int kTickMs = 100;

// What posix_spawn needs, for as long as it needs it.
class Spawn {
 public:
  explicit Spawn(int error_fd, const std::string& directory) {
    posix_spawn_file_actions_init(&actions_);
    posix_spawn_file_actions_addopen(&actions_, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions_, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_adddup2(&actions_, error_fd, STDERR_FILENO);
    if (!directory.empty()) posix_spawn_file_actions_addchdir_np(&actions_, directory.c_str());
  }
  ~Spawn() { posix_spawn_file_actions_destroy(&actions_); }
  Spawn(const Spawn&) = delete;
  Spawn& operator=(const Spawn&) = delete;
  const posix_spawn_file_actions_t* get() const { return &actions_; }

 private:
  posix_spawn_file_actions_t actions_;
};

std::vector<char*> Pointers(const std::vector<std::string>& words) {
  std::vector<char*> out;
  out.reserve(words.size() + 1);
  for (const std::string& word : words) out.push_back(const_cast<char*>(word.c_str()));
  out.push_back(nullptr);
  return out;
}

std::string LastLine(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
  return text.substr(text.rfind('\n') + 1);  // npos + 1 == 0
}

}  // namespace

Result<> RunQuietly(const std::vector<std::string>& words, const ProgramOptions& options) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return Errno("pipe");
  UniqueFd read_end(ends[0]), write_end(ends[1]);
  std::vector<std::string> env = options.env;
  for (char** entry = environ; *entry != nullptr; ++entry) env.emplace_back(*entry);
  pid_t pid = 0;
  const int error =
      posix_spawnp(&pid, words[0].c_str(), Spawn(write_end.get(), options.directory).get(), nullptr,
                   Pointers(words).data(), Pointers(env).data());
  if (error != 0) return Invalid("cannot run " + words[0] + ": " + strerror(error), error);
  write_end.Reset();

  std::string said;
  bool killed = false;
  for (;;) {
    if (options.cancelled && !killed && options.cancelled()) {
      kill(pid, SIGKILL);
      killed = true;
    }
    struct pollfd poll_fd = {read_end.get(), POLLIN, 0};
    if (poll(&poll_fd, 1, options.cancelled ? kTickMs : -1) <= 0) {
      if (killed) break;  // its children may keep the pipe
      continue;
    }
    char buffer[4096];
    const ssize_t n = read(read_end.get(), buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    said.append(buffer, static_cast<size_t>(n));
    if (said.size() > 2 * kKept) said.erase(0, said.size() - kKept);
  }
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (killed) return Fail(ECANCELED, words[0]);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  const std::string last = LastLine(said);
  if (last.empty()) return Invalid(words[0] + " failed", EIO);
  return Invalid(last.starts_with(words[0]) ? last : words[0] + ": " + last, EIO);
}

}  // namespace veneer::build
