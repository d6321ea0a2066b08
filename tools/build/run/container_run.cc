#include "tools/build/run/container_run.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <utility>

#include "store/base/beneath.h"
#include "store/json.h"
#include "tools/build/language/text.h"
#include "tools/build/run/child_process.h"
#include "tools/build/run/root_path.h"

namespace veneer::build {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kAskEvery(50);  // whether we are cancelled
constexpr int kKillTries = 30;                      // of 100 ms each: how often we ask for the end
constexpr int kKillWaitMs = 100;
constexpr int kCommandWaitMs = 5000;  // for the runtime's kill and delete
constexpr size_t kMaxLog = 1U << 20;
constexpr size_t kChunk = 64U << 10;

Result<std::string> MakeId() {
  uint64_t number = 0;
  if (getrandom(&number, sizeof number, 0) != sizeof number) return Errno("getrandom");
  return fmt::format("veneer-{:016x}", number);
}

// One of the command's two streams.
struct Stream {
  UniqueFd read_end;
  UniqueFd write_end;
  bool is_stderr = false;

  static Result<Stream> Open(bool is_stderr) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return Errno("pipe");
    Stream out{UniqueFd(ends[0]), UniqueFd(ends[1]), is_stderr};
    if (fcntl(ends[0], F_SETFL, O_NONBLOCK) != 0) return Errno("fcntl");
    return out;
  }

  // What is there now, up to a chunk. False: nothing any more.
  bool Pump(const StepOutput& output) {
    char buffer[kChunk];
    const ssize_t n = read(read_end.get(), buffer, sizeof buffer);
    if (n > 0) {
      if (output) output(std::string_view(buffer, static_cast<size_t>(n)), is_stderr);
      return true;
    }
    if (n < 0 && errno == EINTR) return true;
    if (n == 0 || errno != EAGAIN) read_end.Reset();
    return false;
  }
};

// The last error in a runtime's log (JSON, a line each); empty if there is none.
std::string LastError(const std::string& log_path) {
  const std::string log = ReadFileAt(AT_FDCWD, log_path, kMaxLog).value_or(std::string());
  std::string last;
  for (const std::string& line : Split(log, '\n')) {
    const auto entry = ParseJson(line);
    if (!entry || !entry->is_object()) continue;
    const auto level = entry->find("level"), message = entry->find("msg");
    if (level == entry->end() || message == entry->end() || !message->is_string()) continue;
    if (*level != "error" && *level != "fatal") continue;
    last = message->get<std::string>();
  }
  for (char& c : last) {
    if (c == '\n') c = ' ';
  }
  return std::string(TrimSpace(last));
}

// A container that has been started, with all that is needed to end it.
class Running {
 public:
  Running(const ContainerRun& run, std::string id) : run_(run), id_(std::move(id)) {}

  Result<ChildProcess> Start(const std::vector<std::string>& command, int stdout_fd,
                             int stderr_fd) const {
    const std::vector<std::string> words = Words(command);
    if (run_.cage) return run_.cage->Start(words, stdout_fd, stderr_fd);
    return ChildProcess::Start(words, stdout_fd, stderr_fd);
  }

  // Asks the runtime for the container's end until there is one. At the very start there may be no
  // container yet that the runtime would know of.
  void End(ChildProcess& child) const {
    for (int i = 0; i < kKillTries; ++i) {
      Command({"kill", id_, "KILL"});
      const auto ended = child.Wait(kKillWaitMs);
      if (ended || ended.error().code() != ETIMEDOUT) break;
    }
    child.Kill();
    (void)child.Wait();
    Forget();
  }

  // The runtime forgets a container that it saw the end of. One that was killed itself did not.
  void Forget() const {
    struct stat st;
    if (stat((run_.bundle + "/state/" + id_).c_str(), &st) != 0) return;
    Command({"delete", "--force", id_});
  }

  std::string LogPath() const { return run_.bundle + "/runtime.log"; }

 private:
  std::vector<std::string> Words(const std::vector<std::string>& command) const {
    std::vector<std::string> words = {run_.runtime};
    words.insert(words.end(), run_.global_words.begin(), run_.global_words.end());
    for (const std::string& word : {"--root=" + run_.bundle + "/state", "--log=" + LogPath(),
                                    std::string("--log-format=json")}) {
      words.push_back(word);
    }
    words.insert(words.end(), command.begin(), command.end());
    return words;
  }

  void Command(const std::vector<std::string>& command) const {
    auto child = Start(command, -1, -1);
    if (child) (void)child->Wait(kCommandWaitMs);
  }

  const ContainerRun& run_;
  std::string id_;
};

Result<int> ExitStatus(int status, const Running& running, const std::string& name) {
  if (WIFSIGNALED(status)) {
    return Invalid(fmt::format("{} was killed by signal {}", name, WTERMSIG(status)), EIO);
  }
  const int code = WEXITSTATUS(status);
  if (code == 0) return code;
  // Its own failures come with statuses that a command's may be, too; the log tells them apart.
  const std::string error = LastError(running.LogPath());
  if (!error.empty()) return Invalid(name + ": " + error, EIO);
  return code;
}

}  // namespace

Result<int> ContainerRun::Run(const StepOutput& output,
                              const std::function<bool()>& cancelled) const {
  if (cancelled && cancelled()) return Fail(ECANCELED, "run");
  TRY_ASSIGN(std::string id, MakeId());
  const Running running(*this, id);
  TRY_ASSIGN(Stream out, Stream::Open(/*is_stderr=*/false));
  TRY_ASSIGN(Stream err, Stream::Open(/*is_stderr=*/true));
  TRY_ASSIGN(ChildProcess child,
             running.Start({"run", "--no-new-keyring", "--bundle", bundle, std::move(id)},
                           out.write_end.get(), err.write_end.get()));
  out.write_end.Reset();
  err.write_end.Reset();

  Clock::time_point asked = Clock::now();
  for (;;) {
    // A stream that has ended is -1, which poll passes over.
    pollfd events[] = {{out.read_end.get(), POLLIN, 0},
                       {err.read_end.get(), POLLIN, 0},
                       {child.pidfd(), POLLIN, 0}};
    if (poll(events, 3, kAskEvery.count()) < 0 && errno != EINTR) {
      const auto error = Errno("poll");
      running.End(child);
      return error;
    }
    if (events[0].revents != 0) out.Pump(output);
    if (events[1].revents != 0) err.Pump(output);
    if (events[2].revents != 0) break;
    if (cancelled && Clock::now() - asked >= kAskEvery) {
      asked = Clock::now();
      if (cancelled()) {
        running.End(child);
        return Fail(ECANCELED, "run");
      }
    }
  }
  TRY_ASSIGN(const int status, child.Wait());
  // All of the container ended before the runtime did, so what it wrote is in the pipes.
  while (out.Pump(output)) {
  }
  while (err.Pump(output)) {
  }
  running.Forget();
  return ExitStatus(status, running, std::string(NameOf(runtime)));
}

}  // namespace veneer::build
