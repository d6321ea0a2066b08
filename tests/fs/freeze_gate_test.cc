// FreezeGate: closing takes until everybody has left, and is only as good as nobody opened
// meanwhile.
#include "fs/freeze_gate.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <future>
#include <optional>
#include <thread>

namespace veneer::fs {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

template <typename T>
int Code(const Result<T>& result) {
  return result ? 0 : result.error().code();
}

// Somebody is inside while others close and open.
class FreezeGateTest : public ::testing::Test {
 protected:
  FreezeGateTest() {
    auto entered = gate_.Enter();
    if (entered) inside_.emplace(std::move(*entered));
  }
  // In another thread, which has closed the gate, and waits, when this returns.
  std::future<int> Closing() {
    auto result = std::async(std::launch::async, [this] { return Code(gate_.Close(kLong)); });
    while (!gate_.closed()) std::this_thread::sleep_for(milliseconds(1));
    return result;
  }
  void Leave() { inside_.reset(); }

  static constexpr milliseconds kLong{20'000};

  FreezeGate gate_;
  std::optional<Passage> inside_;
};

TEST_F(FreezeGateTest, ClosesWhenEverybodyHasLeft) {
  auto closing = Closing();
  EXPECT_EQ(closing.wait_for(milliseconds(50)), std::future_status::timeout);
  Leave();
  EXPECT_EQ(closing.get(), 0);
  EXPECT_EQ(Code(gate_.Open()), 0);
  EXPECT_EQ(Code(gate_.Open()), EINVAL);
}

TEST_F(FreezeGateTest, ClosingFailsWhereItIsOpenedMeanwhile) {
  auto closing = Closing();
  EXPECT_EQ(Code(gate_.Open()), 0);
  EXPECT_EQ(closing.get(), ECANCELED);
}

TEST_F(FreezeGateTest, AnothersClosingIsNotTakenForItsOwn) {
  auto first = Closing();
  ASSERT_EQ(Code(gate_.Open()), 0);
  auto second = Closing();
  Leave();
  EXPECT_EQ(first.get(), ECANCELED);
  EXPECT_EQ(second.get(), 0);
}

TEST_F(FreezeGateTest, OpensForTheClosingThatIsMeant) {
  Leave();
  auto first = gate_.Close(kLong);
  ASSERT_TRUE(first);
  gate_.OpenIf(*first);
  auto second = gate_.Close(kLong);
  ASSERT_TRUE(second) << "the first is over";
  gate_.OpenIf(*first);
  EXPECT_EQ(Code(gate_.Close(kLong)), EBUSY) << "the second's";
}

TEST_F(FreezeGateTest, GivesUpAfterTheTimeoutAndIsOpen) {
  EXPECT_EQ(Code(gate_.Close(milliseconds(50))), ETIMEDOUT);
  EXPECT_EQ(Code(gate_.Open()), EINVAL);
}

TEST_F(FreezeGateTest, OpenForGoodEndsAClosingAndForbidsMore) {
  auto begin = Clock::now();
  auto closing = Closing();
  gate_.OpenForGood();
  EXPECT_EQ(closing.get(), ECANCELED);
  EXPECT_EQ(Code(gate_.Close(kLong)), ECANCELED);
  EXPECT_TRUE(gate_.Enter());
  EXPECT_LT(Clock::now() - begin, milliseconds(10'000));
}

TEST_F(FreezeGateTest, OneMoreThanMayWaitOpensIt) {
  Leave();
  gate_.LimitWaiting(2);
  ASSERT_EQ(Code(gate_.Close(kLong)), 0);
  auto enter = [&] { return gate_.Enter().has_value(); };
  auto first = std::async(std::launch::async, enter);
  auto second = std::async(std::launch::async, enter);
  EXPECT_EQ(first.wait_for(milliseconds(100)), std::future_status::timeout);
  EXPECT_EQ(second.wait_for(milliseconds(100)), std::future_status::timeout);
  EXPECT_TRUE(enter());
  EXPECT_TRUE(first.get() && second.get());
  EXPECT_EQ(Code(gate_.Open()), EINVAL);
}

}  // namespace
}  // namespace veneer::fs
