#include "store/base/fault.h"

#include <gtest/gtest.h>

namespace veneer {
namespace {

class FaultTest : public ::testing::Test {
 protected:
  void TearDown() override { EXPECT_TRUE(ArmFaults("")); }
};

TEST_F(FaultTest, UnarmedPointsPass) { EXPECT_TRUE(FaultPoint("anything")); }

TEST_F(FaultTest, ErrorFiresOnItsPassageOnly) {
  ASSERT_TRUE(ArmFaults("a.b=error:ENOSPC@2"));
  EXPECT_TRUE(FaultPoint("a.b"));
  EXPECT_TRUE(FaultPoint("other"));
  auto fired = FaultPoint("a.b");
  ASSERT_FALSE(fired);
  EXPECT_EQ(fired.error().code(), ENOSPC);
  EXPECT_TRUE(FaultPoint("a.b"));
}

TEST_F(FaultTest, KillEndsTheProcess) {
  EXPECT_EXIT(
      {
        (void)ArmFaults("here=kill");
        (void)FaultPoint("here");
      },
      ::testing::KilledBySignal(SIGKILL), "");
}

TEST_F(FaultTest, BadSpecificationsAreRefused) {
  for (const char* bad : {"x", "x=explode", "x=error:EWHAT", "x=kill@", "x=delay:soon"})
    EXPECT_FALSE(ArmFaults(bad)) << bad;
}

}  // namespace
}  // namespace veneer
