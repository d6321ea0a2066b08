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
// has a long slice and interrupts nobody. With a short one it would keep the CPU from whoever has
// the usual slice, until the next tick.
class LongSlice {
 public:
  LongSlice();
  ~LongSlice();
  LongSlice(const LongSlice&) = delete;
  LongSlice& operator=(const LongSlice&) = delete;

 private:
  bool set_ = false;
  uint64_t before_ = 0;  // ns
};

}  // namespace veneer::fs
