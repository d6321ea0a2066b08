#include "fs/slice.h"

#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace veneer::fs {

namespace {

// Nanoseconds. The least the kernel takes; a little more than what others have on a machine with
// many CPUs (2.8 ms); and much more.
constexpr uint64_t kShort = 100'000;
constexpr uint64_t kLong = 4'000'000;
constexpr uint64_t kLongest = 10'000'000;

// Of sched_setattr(2), in its first version.
struct Attributes {
  uint32_t size;
  uint32_t policy;
  uint64_t flags;
  int32_t nice;
  uint32_t priority;
  uint64_t runtime;  // in nanoseconds: the slice
  uint64_t deadline;
  uint64_t period;
};

// Of the calling thread, where it has policy `from`. True: `before` is the slice that it had.
bool Change(int from, int to, uint64_t slice, uint64_t* before = nullptr) {
  Attributes attributes = {};
  if (syscall(SYS_sched_getattr, 0, &attributes, sizeof attributes, 0) != 0) return false;
  if (attributes.policy != static_cast<uint32_t>(from)) return false;
  if (before != nullptr) *before = attributes.runtime;
  attributes.policy = static_cast<uint32_t>(to);
  attributes.runtime = slice;
  return syscall(SYS_sched_setattr, 0, &attributes, 0) == 0;
}

}  // namespace

void AskForShortSlices() { (void)Change(SCHED_OTHER, SCHED_OTHER, kShort); }

LongSlice::LongSlice(For whom)
    : policy_(whom == kNobodyWaits ? SCHED_BATCH : SCHED_OTHER),
      set_(Change(SCHED_OTHER, policy_, whom == kNobodyWaits ? kLongest : kLong, &before_)) {}

LongSlice::~LongSlice() {
  if (set_) (void)Change(policy_, SCHED_OTHER, before_);
}

}  // namespace veneer::fs
