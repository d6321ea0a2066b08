// What threads are to the scheduler while they copy, and afterwards.
#include "fs/slice.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>
#include <thread>

namespace veneer::fs {
namespace {

// Each in a thread of its own: what a test leaves behind ends with it.
template <typename Body>
void InThread(Body body) {
  std::thread(body).join();
}

// In nanoseconds; 0 where the kernel has one slice for all.
uint64_t Slice() {
  struct {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
  } attributes = {};
  EXPECT_EQ(syscall(SYS_sched_getattr, 0, &attributes, sizeof attributes, 0), 0);
  return attributes.runtime;
}

TEST(LongSlice, OfWhoNobodyWaitsForLastsAsLongAsItLives) {
  InThread([] {
    AskForShortSlices();
    ASSERT_EQ(sched_getscheduler(0), SCHED_OTHER);
    const uint64_t before = Slice();
    {
      const LongSlice slice(LongSlice::kNobodyWaits);
      EXPECT_EQ(sched_getscheduler(0), SCHED_BATCH);
      EXPECT_TRUE(before == 0 || Slice() > before);
      {
        const LongSlice inner(LongSlice::kSomebodyWaits);
        EXPECT_EQ(sched_getscheduler(0), SCHED_BATCH);
      }
      EXPECT_EQ(sched_getscheduler(0), SCHED_BATCH) << "the inner one changed nothing";
    }
    EXPECT_EQ(sched_getscheduler(0), SCHED_OTHER);
    EXPECT_EQ(Slice(), before);
    {
      const LongSlice slice(LongSlice::kSomebodyWaits);
      EXPECT_EQ(sched_getscheduler(0), SCHED_OTHER);
      EXPECT_TRUE(before == 0 || Slice() > before);
    }
    EXPECT_EQ(Slice(), before);
  });
}

TEST(LongSlice, LeavesOtherPoliciesAlone) {
  InThread([] {
    const sched_param none = {};
    ASSERT_EQ(sched_setscheduler(0, SCHED_IDLE, &none), 0);
    AskForShortSlices();
    EXPECT_EQ(sched_getscheduler(0), SCHED_IDLE);
    {
      const LongSlice slice(LongSlice::kNobodyWaits);
      EXPECT_EQ(sched_getscheduler(0), SCHED_IDLE);
    }
    EXPECT_EQ(sched_getscheduler(0), SCHED_IDLE);
  });
}

}  // namespace
}  // namespace veneer::fs
