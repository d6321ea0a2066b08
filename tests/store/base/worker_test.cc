#include "store/base/worker.h"

#include <gtest/gtest.h>

#include <atomic>
#include <vector>

namespace veneer {
namespace {

TEST(Worker, DoesJobsInOrder) {
  std::vector<int> done;
  Worker worker(2);
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(worker.Give([&done, i]() -> Result<> {
      done.push_back(i);
      return {};
    }));
  }
  ASSERT_TRUE(worker.Finish());
  ASSERT_EQ(done.size(), 100u);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(done[static_cast<size_t>(i)], i);
}

TEST(Worker, HasNoThreadWithoutAJob) {
  Worker worker(1);
  EXPECT_TRUE(worker.Finish());
  EXPECT_FALSE(worker.started());
}

TEST(Worker, TheFirstErrorStaysAndEndsTheWork) {
  std::atomic<int> done = 0;
  Worker worker(1);
  ASSERT_TRUE(worker.Give([]() -> Result<> { return Fail(ENOSPC, "write"); }));
  Result<> given;
  for (int i = 0; given && i < 1'000'000; ++i) {
    given = worker.Give([&done]() -> Result<> {
      ++done;
      return {};
    });
  }
  ASSERT_FALSE(given);
  EXPECT_EQ(given.error().code(), ENOSPC);
  EXPECT_EQ(done, 0);
  auto finished = worker.Finish();
  ASSERT_FALSE(finished);
  EXPECT_EQ(finished.error().code(), ENOSPC);
}

TEST(Worker, NoMemoryIsAnError) {
  Worker worker(1);
  ASSERT_TRUE(worker.Give([]() -> Result<> { throw std::bad_alloc(); }));
  auto finished = worker.Finish();
  ASSERT_FALSE(finished);
  EXPECT_EQ(finished.error().code(), ENOMEM);
}

}  // namespace
}  // namespace veneer
