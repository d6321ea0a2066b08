// Board: the memory over which a controller tells its workers what to do and they answer. One
// operation is under way at a time, on one worker or several; the controller sleeps until the last
// of them has answered.
//
// Made by the controller before it forks. Each box has two users: the controller, and one worker.
#pragma once

#include <chrono>
#include <memory>

#include "store/base/result.h"
#include "tests/differential/executor.h"
#include "tests/differential/op.h"

namespace veneer::differential {

struct Post {
  size_t side = kPlain;
  int worker = 0;
};

class Board {
 public:
  static Result<std::unique_ptr<Board>> Make();
  ~Board();
  Board(const Board&) = delete;
  Board& operator=(const Board&) = delete;

  // The controller's part. EMSGSIZE: an operation with names that no system call takes.
  // REQUIRES: what was put up before has been answered.
  Result<> PutUp(Post post, const Op& op);
  void Begin();                                          // wakes who has something to do
  bool AwaitAnswers(std::chrono::milliseconds timeout);  // false: not all are there
  bool Answered(Post post) const;
  Reply Answer(Post post) const;  // REQUIRES: Answered()

  // A worker's part: sleeps until there is an operation; answers it.
  Op AwaitOp(Post post);
  void PutAnswer(Post post, const Reply& reply);

 private:
  struct Box;
  struct Memory;
  explicit Board(Memory* memory) : memory_(memory) {}
  Box& BoxOf(Post post) const;
  Memory* const memory_;
};

}  // namespace veneer::differential
