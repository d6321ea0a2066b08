// ChildProcess: a program that we started, and that does not outlive its owner.
//
// It has a session of its own, so that a terminal's Ctrl-C does not reach it, no signal blocked or
// ignored, and of our environment what it is given. Not thread-safe; different threads may
// have children of their own.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "store/base/result.h"
#include "store/base/unique_fd.h"

namespace veneer::build {

// Where a program runs, and with which variables.
struct ChildSettings {
  std::string directory;         // empty: where we are
  std::vector<std::string> env;  // NAME=value: all of them; empty: what a runtime needs of ours
};

class ChildProcess {
 public:
  // `words[0]` is the program's path. Standard input is /dev/null; -1 for an output is /dev/null
  // too.
  static Result<ChildProcess> Start(const std::vector<std::string>& words, int stdout_fd,
                                    int stderr_fd, const ChildSettings& settings = {});
  ChildProcess(ChildProcess&& other) noexcept;
  ChildProcess& operator=(ChildProcess&&) = delete;
  // Kills and reaps what still runs.
  ~ChildProcess();

  // Readable once the program has ended.
  int pidfd() const { return pidfd_.get(); }

  // Waits for the end; the status of wait(2). `milliseconds` < 0: however long it takes; otherwise
  // the error is ETIMEDOUT once they have passed.
  Result<int> Wait(int milliseconds = -1);
  void Kill();  // SIGKILL, if it still runs

 private:
  ChildProcess(pid_t pid, UniqueFd pidfd) : pid_(pid), pidfd_(std::move(pidfd)) {}

  pid_t pid_;  // 0: reaped
  UniqueFd pidfd_;
};

// The path of a program that is to be run by name: from PATH, or where administrators' programs
// are. Empty: not there.
std::string FindProgram(const std::string& name);

}  // namespace veneer::build
