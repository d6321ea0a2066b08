// The progress line of long work: what is being done, bytes, rate; on a terminal only.
//
// One object serves one piece of work after another. Add may be called by any thread; Start and
// Done by the one that owns the work. The line is redrawn at most ten times a second, from within
// Add, so no thread of its own is needed, and is gone when the work is done or the object dies.
#pragma once

#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>

#include "store/base/mutex.h"

namespace veneer::tools {

class Progress {
 public:
  // Draws on `fd`, which stays the caller's, unless `quiet` or `fd` is no terminal.
  explicit Progress(bool quiet = false, int fd = STDERR_FILENO);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // Begins `what`; `total_bytes` is 0 where nobody knows. Work still shown ends first.
  void Start(std::string_view what, uint64_t total_bytes = 0);
  // `bytes` more are done.
  void Add(uint64_t bytes);
  // Clears the line. Repeating it does nothing.
  void Done();

  uint64_t bytes() const { return bytes_.load(std::memory_order_relaxed); }

 private:
  void Draw(int64_t now) REQUIRES_LOCK(mu_);
  void ClearLine() REQUIRES_LOCK(mu_);

  const int fd_;
  const bool shown_;
  std::atomic<uint64_t> bytes_{0};
  std::atomic<int64_t> next_draw_{0};  // nanoseconds, monotonic

  Mutex mu_;
  std::string what_ GUARDED_BY(mu_);
  uint64_t total_ GUARDED_BY(mu_) = 0;
  int64_t started_ GUARDED_BY(mu_) = 0;
  bool active_ GUARDED_BY(mu_) = false;
  bool drawn_ GUARDED_BY(mu_) = false;
};

// The line without what moves the cursor: "loading layer  12.3MB / 124MB  45.6MB/s". Control
// characters in `what` are shown as "?"; the line is cut to `columns` if that is not 0. The rate is
// left out for the first half second.
std::string ProgressLine(std::string_view what, uint64_t bytes, uint64_t total,
                         int64_t elapsed_nanos, int columns);

}  // namespace veneer::tools
