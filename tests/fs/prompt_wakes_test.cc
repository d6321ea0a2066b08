// The limit on how long CPUs take to wake is held while requests come in close succession, and not
// otherwise.
#include "fs/prompt_wakes.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>

namespace veneer::fs {
namespace {

using std::chrono::milliseconds;

class PromptWakesTest : public ::testing::Test {
 protected:
  PromptWakes::Hold Holding() {
    return [this] {
      ++asked_;
      return UniqueFd(open("/dev/null", O_WRONLY | O_CLOEXEC));
    };
  }
  // Calls `step` until `condition` is true, or for ten seconds.
  template <typename Condition, typename Step>
  static bool Until(Condition condition, Step step) {
    auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (!condition() && std::chrono::steady_clock::now() < end) step();
    return condition();
  }
  std::atomic<int> asked_{0};
};

TEST_F(PromptWakesTest, AreHeldWhileRequestsComeAndLetGoAfterwards) {
  PromptWakes wakes(Holding());
  for (int burst = 1; burst <= 3; ++burst) {
    EXPECT_TRUE(Until([&] { return wakes.holds(); }, [&] { wakes.Count(); }));
    EXPECT_EQ(asked_, burst);
    EXPECT_TRUE(Until([&] { return !wakes.holds(); },
                      [] { std::this_thread::sleep_for(milliseconds(1)); }));
  }
}

TEST_F(PromptWakesTest, AreLeftAloneByRequestsNowAndThen) {
  PromptWakes wakes(Holding());
  for (int i = 0; i < 100; ++i) {
    wakes.Count();
    std::this_thread::sleep_for(milliseconds(1));
  }
  EXPECT_EQ(asked_, 0);
}

TEST_F(PromptWakesTest, AreGivenUpWhereTheyCannotBeHeld) {
  PromptWakes wakes([this] {
    ++asked_;
    return UniqueFd();
  });
  EXPECT_TRUE(Until([&] { return asked_ > 0; }, [&] { wakes.Count(); }));
  for (int i = 0; i < 100'000; ++i) wakes.Count();
  std::this_thread::sleep_for(milliseconds(20));
  for (int i = 0; i < 100'000; ++i) wakes.Count();
  EXPECT_FALSE(wakes.holds());
  EXPECT_EQ(asked_, 1);
}

TEST_F(PromptWakesTest, EndWhileHeld) {
  auto begin = std::chrono::steady_clock::now();
  {
    PromptWakes wakes(Holding());
    EXPECT_TRUE(Until([&] { return wakes.holds(); }, [&] { wakes.Count(); }));
    for (int i = 0; i < 1000; ++i) wakes.Count();
  }
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(5));
}

}  // namespace
}  // namespace veneer::fs
