// WaitingRoom: runs the requests that may wait for long: for the freeze gate, or for another's
// copy-up. Some threads are never given to them, so that lookups, reads, releases and a thaw always
// find one; requests beyond that are kept, without a thread, until one of the others is done.
// Thread-safe.
#pragma once

#include <deque>
#include <functional>
#include <utility>

#include "store/base/mutex.h"

namespace veneer::fs {

class WaitingRoom {
 public:
  // At most `most` requests are inside at once.
  explicit WaitingRoom(unsigned most) : most_(most) {}

  // Calls `now` before it returns, or some time what `keep` returns, on any thread.
  template <typename Now, typename Keep>
  void Run(Now now, Keep keep) {
    if (!Enter()) {
      std::function<void()> later = keep();
      MutexLock lock(mu_);
      if (inside_ >= most_) {
        kept_.push_back(std::move(later));
        return;
      }
      ++inside_;
    }
    now();
    while (std::function<void()> next = LeaveOrNext()) next();
  }

 private:
  bool Enter() {
    MutexLock lock(mu_);
    if (inside_ >= most_) return false;
    ++inside_;
    return true;
  }
  std::function<void()> LeaveOrNext() {
    MutexLock lock(mu_);
    if (kept_.empty()) {
      --inside_;
      return nullptr;
    }
    std::function<void()> next = std::move(kept_.front());
    kept_.pop_front();
    return next;
  }

  const unsigned most_;
  Mutex mu_;
  unsigned inside_ GUARDED_BY(mu_) = 0;
  std::deque<std::function<void()>> kept_ GUARDED_BY(mu_);
};

}  // namespace veneer::fs
