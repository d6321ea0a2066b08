// WriteBacks: requests that wait until the kernel has written pages back, a few at a time.
//
// What the kernel writes comes as requests too, and these need what a waiting request holds: a
// thread of /dev/fuse and a place in the waiting room, or one of a ring's buffers. If those that
// wait had all of them, they would wait for ever. Thread-safe.
#pragma once

#include <deque>
#include <functional>

#include "fs/workers.h"
#include "store/base/mutex.h"

namespace veneer::fs {

class WriteBacks {
 public:
  struct Task {
    std::function<void()> write;  // returns when pages are written back
    std::function<void()> then;   // answers; called outside, and may wait for anything
    std::function<void()>
        instead;               // answers where the pages could not be waited for; does not wait
    bool may_be_last = false;  // may have the place that is kept from the others
  };
  enum class Where { kOffRing, kOnRing };

  // At most `most` tasks are inside at once; 2 or more.
  WriteBacks(unsigned most, Workers& workers) : workers_(workers), most_(most) {}
  void Limit(unsigned most);

  // Calls `write` and `then`, now or later, on this thread or another. Where too many are inside:
  // on a ring, whose buffer it would go on holding, calls `instead`; else the task is kept, without
  // a thread.
  void Run(Task task, Where where);
  // Lets nobody in any more, and waits for those inside. `instead` answers for the others.
  void End();

 private:
  void Work(const Task& task);
  void Leave();
  bool MayEnterLocked(const Task& task) const REQUIRES_LOCK(mu_) {
    return inside_ + (task.may_be_last ? 0 : 1) < most_;
  }

  Workers& workers_;
  Mutex mu_;
  CondVar left_;
  unsigned most_ GUARDED_BY(mu_);
  unsigned inside_ GUARDED_BY(mu_) = 0;
  bool ended_ GUARDED_BY(mu_) = false;
  std::deque<Task> kept_ GUARDED_BY(mu_);
};

}  // namespace veneer::fs
