// Worker: a process that does operations below one directory, as one user, when told to. Crew: the
// kWorkers of them on either side. The controller tells one of a side at a time, so that the
// interleaving is the script's; the two sides do an operation at the same time.
#pragma once

#include <sys/types.h>

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "store/base/result.h"
#include "tests/differential/board.h"
#include "tests/differential/executor.h"
#include "tests/differential/op.h"

namespace veneer::differential {

class Worker {
 public:
  // Forks a process with the identity and umask of its role, `post.worker`, to work below `root`.
  // The board must outlive it.
  static Result<Worker> Start(const std::string& root, Board& board, Post post);
  Worker(Worker&&) noexcept;
  Worker& operator=(Worker&&) = delete;
  ~Worker();  // kills the process; hangs on when it cannot die

  bool Alive();

 private:
  explicit Worker(pid_t pid) : pid_(pid) {}
  pid_t pid_ = -1;
};

class Crew {
 public:
  static Result<Crew> Start(const std::string& plain, const std::string& mount);

  // Does one operation, as its worker, on both sides, or on the mount's alone. ETIMEDOUT: no answer
  // within a minute; EPIPE: the process is gone.
  Result<std::array<Reply, kSides>> Do(const Op& op);
  Result<Reply> DoOnMount(const Op& op);
  // Has every worker, of both sides, do it.
  Result<> DoByAll(const Op& op);

 private:
  explicit Crew(std::unique_ptr<Board> board) : board_(std::move(board)) {}
  Result<> Run(const Op& op, std::initializer_list<size_t> sides, int first, int last);
  Result<> Await();

  std::unique_ptr<Board> board_;  // before the workers, who use it
  std::array<std::vector<Worker>, kSides> workers_;
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
