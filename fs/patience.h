// Impatient: within it, this thread must not wait for long inside the engine: not for the freeze
// gate, not for data to be copied up. What would have to wait fails with kWouldWait instead, having
// changed nothing that shows, and is to be called again on a thread that may wait.
//
// A queue of FUSE-over-io_uring has one thread; if that waits, everything asked on its CPU does.
#pragma once

#include <cerrno>

#include "store/base/result.h"

namespace veneer::fs {

// No system call gives this code to a program.
inline constexpr int kWouldWait = ERESTART;

class Impatient {
 public:
  Impatient() : before_(now_) { now_ = true; }
  ~Impatient() { now_ = before_; }
  Impatient(const Impatient&) = delete;
  Impatient& operator=(const Impatient&) = delete;
  static bool Now() { return now_; }

 private:
  static inline thread_local bool now_ = false;
  const bool before_;
};

// Stands before what takes long.
inline Result<> RequirePatience(const char* what) {
  if (Impatient::Now()) return Fail(kWouldWait, what);
  return {};
}

}  // namespace veneer::fs
