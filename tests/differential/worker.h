// Worker: a process that does operations below one directory, as one user, when told to. The
// controller has kWorkers of them on either side; it tells one at a time, so that the interleaving
// is the script's.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <string>

#include "store/base/result.h"
#include "store/base/unique_fd.h"
#include "tests/differential/executor.h"
#include "tests/differential/op.h"

namespace veneer::differential {

class Worker {
 public:
  // Forks a process with the identity and umask of `role`, to work below `root`.
  static Result<Worker> Start(const std::string& root, int role);
  Worker(Worker&&) noexcept;
  Worker& operator=(Worker&&) = delete;
  ~Worker();  // kills the process; hangs on when it cannot die

  Result<> Send(const Op& op);
  // ETIMEDOUT: no answer; EPIPE: the process is gone.
  Result<Reply> Receive(std::chrono::milliseconds timeout);

 private:
  Worker(pid_t pid, UniqueFd channel) : pid_(pid), channel_(std::move(channel)) {}
  pid_t pid_ = -1;
  UniqueFd channel_;
};

// Who a role is; for the model's guesses at what may succeed.
struct Identity {
  uid_t uid;
  gid_t gid;
  gid_t other_group;
  mode_t umask;
};
const Identity& IdentityOf(int role);

}  // namespace veneer::differential
