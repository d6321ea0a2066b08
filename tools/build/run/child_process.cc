#include "tools/build/run/child_process.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <utility>

#include "tools/build/language/text.h"

namespace veneer::build {
namespace {

constexpr const char* kUsualPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

std::string OurPath() {
  const char* path = std::getenv("PATH");
  return path && *path ? path : kUsualPath;
}

// What would tell a runtime to do more than it is asked to (NOTIFY_SOCKET, LISTEN_FDS, …) is left
// out.
std::vector<std::string> Environment() {
  std::vector<std::string> out = {"PATH=" + OurPath()};
  for (const char* name : {"XDG_RUNTIME_DIR", "TMPDIR"}) {
    if (const char* value = std::getenv(name)) out.push_back(std::string(name) + "=" + value);
  }
  return out;
}

std::vector<char*> Pointers(const std::vector<std::string>& words) {
  std::vector<char*> out;
  out.reserve(words.size() + 1);
  for (const std::string& word : words) out.push_back(const_cast<char*>(word.c_str()));
  out.push_back(nullptr);
  return out;
}

struct SpawnActions {
  SpawnActions() { posix_spawn_file_actions_init(&value); }
  ~SpawnActions() { posix_spawn_file_actions_destroy(&value); }
  SpawnActions(const SpawnActions&) = delete;
  SpawnActions& operator=(const SpawnActions&) = delete;

  void Output(int fd, int number) {
    if (fd < 0) {
      posix_spawn_file_actions_addopen(&value, number, "/dev/null", O_WRONLY, 0);
    } else {
      posix_spawn_file_actions_adddup2(&value, fd, number);
    }
  }

  posix_spawn_file_actions_t value;
};

struct SpawnAttributes {
  SpawnAttributes() {
    posix_spawnattr_init(&value);
    sigset_t set;
    sigemptyset(&set);
    posix_spawnattr_setsigmask(&value, &set);
    sigfillset(&set);
    posix_spawnattr_setsigdefault(&value, &set);
    posix_spawnattr_setflags(&value,
                             POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSID);
  }
  ~SpawnAttributes() { posix_spawnattr_destroy(&value); }
  SpawnAttributes(const SpawnAttributes&) = delete;
  SpawnAttributes& operator=(const SpawnAttributes&) = delete;

  posix_spawnattr_t value;
};

}  // namespace

Result<ChildProcess> ChildProcess::Start(const std::vector<std::string>& words, int stdout_fd,
                                         int stderr_fd, const ChildSettings& settings) {
  SpawnActions actions;
  posix_spawn_file_actions_addopen(&actions.value, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  actions.Output(stdout_fd, STDOUT_FILENO);
  actions.Output(stderr_fd, STDERR_FILENO);
  if (!settings.directory.empty())
    posix_spawn_file_actions_addchdir_np(&actions.value, settings.directory.c_str());
  const SpawnAttributes attributes;
  const std::vector<std::string> environment = settings.env.empty() ? Environment() : settings.env;
  const std::vector<char*> argv = Pointers(words), envp = Pointers(environment);
  pid_t pid = 0;
  const int error = posix_spawn(&pid, words[0].c_str(), &actions.value, &attributes.value,
                                argv.data(), envp.data());
  if (error != 0) return Fail(error, "run " + words[0]);
  UniqueFd pidfd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  ChildProcess child(pid, std::move(pidfd));
  if (!child.pidfd_) return Errno("pidfd_open");
  return child;
}

ChildProcess::ChildProcess(ChildProcess&& other) noexcept
    : pid_(std::exchange(other.pid_, 0)), pidfd_(std::move(other.pidfd_)) {}

ChildProcess::~ChildProcess() {
  if (pid_ == 0) return;
  Kill();
  (void)Wait();
}

void ChildProcess::Kill() {
  if (pid_ != 0) kill(pid_, SIGKILL);
}

Result<int> ChildProcess::Wait(int milliseconds) {
  if (pid_ == 0) return Fail(ECHILD, "wait");
  if (milliseconds >= 0) {
    pollfd end = {pidfd_.get(), POLLIN, 0};
    const int ready = poll(&end, 1, milliseconds);
    if (ready < 0 && errno != EINTR) return Errno("poll");
    if (ready <= 0) return Fail(ETIMEDOUT, "wait");
  }
  int status = 0;
  while (waitpid(pid_, &status, 0) < 0) {
    if (errno == EINTR) continue;
    pid_ = 0;
    return Errno("wait");
  }
  pid_ = 0;
  return status;
}

std::string FindProgram(const std::string& name) {
  for (const std::string& directory : Split(OurPath() + ":" + kUsualPath, ':')) {
    if (!directory.starts_with('/')) continue;
    const std::string path = directory + "/" + name;
    struct stat st;
    if (stat(path.c_str(), &st) == 0 && S_ISREG(st.st_mode) && access(path.c_str(), X_OK) == 0)
      return path;
  }
  return {};
}

}  // namespace veneer::build
