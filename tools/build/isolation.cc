#include "tools/build/isolation.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <pwd.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdint>
#include <ctime>
#include <fstream>
#include <string>
#include <vector>

#include "store/base/beneath.h"
#include "store/base/unique_fd.h"
#include "tools/build/language/text.h"
#include "tools/build/run/account_file.h"
#include "tools/build/run/hybrid_cgroups.h"
#include "tools/build/run/program.h"

namespace veneer::build {
namespace {

constexpr unsigned kPatienceSeconds = 15;  // from being asked to end to being killed

std::atomic<bool> interrupted{false};
// Of the process that waits: whom to pass signals on to.
std::atomic<pid_t> child_of_signals{0};
std::atomic<int64_t> first_signal{0};  // nanoseconds of the monotonic clock
// One that comes so soon after the first is the same: both the process and its group got it.
constexpr int64_t kSameNanos = 300'000'000;

int64_t Now() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1'000'000'000 + now.tv_nsec;
}

void PassOn(int number) {
  const pid_t child = child_of_signals;
  if (child <= 0) return;
  const int64_t now = Now(), first = first_signal;
  if (number == SIGALRM || (first != 0 && now - first > kSameNanos)) {
    kill(child, SIGKILL);
  } else if (first == 0) {
    first_signal = now;
    kill(child, SIGTERM);
    alarm(kPatienceSeconds);
  }
}

void NoteInterrupt(int /*number*/) { interrupted = true; }

void Handle(void (*handler)(int), std::initializer_list<int> signals) {
  struct sigaction action = {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  for (const int number : signals) sigaction(number, &action, nullptr);
}

int ExitStatus(int status) {
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

int WaitFor(pid_t pid) {
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return ExitStatus(status);
}

// "outer start count" lines of /etc/subuid for this user, by name or number.
std::vector<std::string> Subordinates(const char* file, const std::string& user, uid_t uid) {
  std::ifstream lines(file);
  std::vector<std::string> words;
  uint64_t inner = 1;
  for (std::string line; std::getline(lines, line);) {
    const std::vector<std::string> fields = Split(line, ':');
    if (fields.size() != 3 || (fields[0] != user && fields[0] != std::to_string(uid))) continue;
    const auto count = ParseId(fields[2]);
    if (!count || *count == 0) continue;
    words.insert(words.end(), {std::to_string(inner), fields[1], fields[2]});
    inner += *count;
  }
  return words;
}

// Maps the ids of `child`'s new user namespace: root is this user, from 1 on the subordinate ones.
Result<> MapIds(pid_t child) {
  const passwd* const entry = getpwuid(geteuid());
  const std::string user = entry ? entry->pw_name : std::to_string(geteuid());
  const auto map = [&](const char* program, const char* file, uint64_t own) -> Result<> {
    std::vector<std::string> words = {program, std::to_string(child), "0", std::to_string(own),
                                      "1"};
    const std::vector<std::string> more = Subordinates(file, user, geteuid());
    if (more.empty()) {
      return Invalid(fmt::format("{} gives {} no ids: building without root needs some "
                                 "(usermod --add-subuids 100000-165535 --add-subgids "
                                 "100000-165535 {})",
                                 file, user, user),
                     EPERM);
    }
    words.insert(words.end(), more.begin(), more.end());
    return RunQuietly(words);
  };
  TRY(map("newuidmap", "/etc/subuid", geteuid()));
  return map("newgidmap", "/etc/subgid", getegid());
}

// In the child, before it has namespaces. With `ids`, waits there until it has ids.
Result<> EnterNamespaces(bool as_root, int ids_ready, int ids_wanted) {
  if (!as_root) {
    if (unshare(CLONE_NEWUSER) != 0) {
      return Invalid(
          std::string("a user namespace is needed to build without root: ") + strerror(errno),
          errno);
    }
    char byte = 0;
    if (write(ids_wanted, &byte, 1) != 1 || read(ids_ready, &byte, 1) != 1)
      return Fail(EPERM, "user namespace");
    if (setresgid(0, 0, 0) != 0 || setresuid(0, 0, 0) != 0)
      return Errno("become root of the user namespace");
  }
  if (unshare(CLONE_NEWNS | CLONE_NEWPID) != 0) return Errno("namespaces for the build");
  return {};
}

// The first process of the PID namespace: buries everybody, and ends with the build.
[[noreturn]] void RunInit(const std::function<int()>& body) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  // What is mounted outside shows up here, and nothing of ours there.
  if (mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr) != 0 ||
      mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) != 0) {
    fmt::print(stderr, "veneer: cannot set up the build's namespaces: {}\n", strerror(errno));
    _exit(1);
  }
  (void)HideUnifiedCgroups();  // without, runc has to do what crun could
  const pid_t builder = fork();
  if (builder < 0) _exit(1);
  if (builder == 0) {
    Handle(NoteInterrupt, {SIGTERM, SIGINT, SIGHUP});
    const int status = body();
    std::fflush(nullptr);
    _exit(status);
  }
  child_of_signals = builder;
  Handle([](int number) { kill(child_of_signals, number); }, {SIGTERM, SIGINT, SIGHUP});
  for (;;) {
    int status = 0;
    const pid_t gone = waitpid(-1, &status, 0);
    if (gone == builder) _exit(ExitStatus(status));
    if (gone < 0 && errno != EINTR) _exit(1);
  }
}

}  // namespace

bool WasInterrupted() { return interrupted; }

Result<int> RunIsolated(const std::function<int()>& body) {
  const bool as_root = geteuid() == 0;
  int wanted[2], ready[2];
  if (pipe2(wanted, O_CLOEXEC) != 0) return Errno("pipe");
  UniqueFd wanted_read(wanted[0]), wanted_write(wanted[1]);
  if (pipe2(ready, O_CLOEXEC) != 0) return Errno("pipe");
  UniqueFd ready_read(ready[0]), ready_write(ready[1]);
  const pid_t parent = getpid();
  std::fflush(nullptr);
  const pid_t child = fork();
  if (child < 0) return Errno("fork");
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(1);
    wanted_read.Reset();
    ready_write.Reset();
    const Result<> entered = EnterNamespaces(as_root, ready_read.get(), wanted_write.get());
    if (!entered) {
      fmt::print(stderr, "veneer: {}\n", entered.error().Message());
      _exit(1);
    }
    // Changing ids has cleared it.
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    const pid_t init = fork();
    if (init < 0) _exit(1);
    if (init == 0) RunInit(body);
    child_of_signals = init;
    Handle([](int number) { kill(child_of_signals, number); }, {SIGTERM, SIGINT, SIGHUP});
    _exit(WaitFor(init));
  }
  wanted_write.Reset();
  ready_read.Reset();
  Result<> mapped;
  if (!as_root) {
    char byte = 0;
    if (read(wanted_read.get(), &byte, 1) == 1) {
      mapped = MapIds(child);
      if (mapped && write(ready_write.get(), &byte, 1) != 1) mapped = Errno("user namespace");
    }
    ready_write.Reset();
  }
  child_of_signals = child;
  Handle(PassOn, {SIGINT, SIGTERM, SIGHUP, SIGALRM});
  const int status = WaitFor(child);
  alarm(0);
  child_of_signals = 0;
  if (!mapped) return std::unexpected(mapped.error());
  return status;
}

}  // namespace veneer::build
