// How long the scheduler lets a thread run at a stretch. A thread that wakes up runs before others
// if its deadline, one slice away, is the earliest, and interrupts one whose slice is longer than
// its own (Linux 6.12 and later, sched_setattr(2); older kernels have one slice for all). It gets
// no more and no less time in all. Threads with another policy than SCHED_OTHER are left alone:
// somebody has plans with them.
#pragma once

#include <cstdint>

namespace veneer::fs {

// For those that answer: short slices for the calling thread, and those that it starts later.
void AskForShortSlices();

// For those that copy much while others wait for answers: as long as it lives, the calling thread
// has a slice longer than the usual one. With a short one it would keep the CPU from those who have
// the usual slice and wake up, perhaps until the next tick.
class LongSlice {
 public:
  // kNobodyWaits: for its copy to end. It then interrupts nobody, and lets others with the usual
  // slice go first.
  enum For { kSomebodyWaits, kNobodyWaits };
  explicit LongSlice(For whom);
  ~LongSlice();
  LongSlice(const LongSlice&) = delete;
  LongSlice& operator=(const LongSlice&) = delete;

 private:
  uint64_t before_ = 0;  // ns
  const int policy_;
  const bool set_;
};

}  // namespace veneer::fs
