#include "tools/units.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <ctime>

namespace veneer::tools {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

TEST(HumanSize, HasThreeDigitsAndDecimalUnits) {
  EXPECT_EQ(HumanSize(0), "0B");
  EXPECT_EQ(HumanSize(999), "999B");
  EXPECT_EQ(HumanSize(7812), "7.81kB");
  EXPECT_EQ(HumanSize(123456789), "123MB");
  EXPECT_EQ(HumanSize(124000000), "124MB");
  EXPECT_EQ(HumanSize(1090000000), "1.09GB");
  EXPECT_EQ(HumanSize(10000), "10kB");
  EXPECT_EQ(HumanSize(999999), "1e+03kB");  // as Docker prints it
  EXPECT_EQ(HumanSize(UINT64_MAX), "18.4EB");
}

TEST(HumanDuration, RoundsAsDockerDoes) {
  EXPECT_EQ(HumanDuration(seconds(-5)), "Less than a second");
  EXPECT_EQ(HumanDuration(seconds(0)), "Less than a second");
  EXPECT_EQ(HumanDuration(seconds(1)), "1 second");
  EXPECT_EQ(HumanDuration(seconds(59)), "59 seconds");
  EXPECT_EQ(HumanDuration(seconds(60)), "About a minute");
  EXPECT_EQ(HumanDuration(seconds(119)), "About a minute");
  EXPECT_EQ(HumanDuration(minutes(5)), "5 minutes");
  EXPECT_EQ(HumanDuration(minutes(59)), "59 minutes");
  EXPECT_EQ(HumanDuration(minutes(60)), "About an hour");
  EXPECT_EQ(HumanDuration(minutes(90)), "2 hours");
  EXPECT_EQ(HumanDuration(hours(47)), "47 hours");
  EXPECT_EQ(HumanDuration(hours(48)), "2 days");
  EXPECT_EQ(HumanDuration(hours(24 * 14 - 1)), "13 days");
  EXPECT_EQ(HumanDuration(hours(24 * 14)), "2 weeks");
  EXPECT_EQ(HumanDuration(hours(24 * 60)), "2 months");
  EXPECT_EQ(HumanDuration(hours(24 * 365 * 2)), "2 years");
  EXPECT_EQ(HumanSince(1000, 1000 + 300), "5 minutes ago");
  EXPECT_EQ(HumanSince(0, 1000), "N/A");
  EXPECT_EQ(HumanSince(Timestamp::kNone, 1000), "N/A");
}

TEST(Rfc3339, FormatsAsGoDoes) {
  EXPECT_EQ(FormatRfc3339Nano({1704164645, 0}), "2024-01-02T03:04:05Z");
  EXPECT_EQ(FormatRfc3339Nano({1704164645, 120000000}), "2024-01-02T03:04:05.12Z");
  EXPECT_EQ(FormatRfc3339Nano({1704164645, 1}), "2024-01-02T03:04:05.000000001Z");
  EXPECT_EQ(FormatRfc3339Nano(Timestamp()), "0001-01-01T00:00:00Z");
}

TEST(Rfc3339, ParsesWhatItFormats) {
  for (const Timestamp time :
       {Timestamp(), Timestamp{0, 0}, Timestamp{1704164645, 123456789}, Timestamp{-1, 5}}) {
    const Result<Timestamp> parsed = ParseRfc3339(FormatRfc3339Nano(time));
    ASSERT_TRUE(parsed) << FormatRfc3339Nano(time);
    EXPECT_EQ(*parsed, time);
  }
}

TEST(Rfc3339, ParsesOffsetsAndAnyNumberOfDecimals) {
  EXPECT_EQ(ParseRfc3339("2024-01-02T04:04:05+01:00")->seconds, 1704164645);
  EXPECT_EQ(ParseRfc3339("2024-01-01T21:34:05.5-05:30")->seconds, 1704164645);
  EXPECT_EQ(ParseRfc3339("2024-01-02T03:04:05.1234567899999Z")->nanos, 123456789);
  EXPECT_EQ(ParseRfc3339("2024-02-29T00:00:00Z")->seconds, 1709164800);
}

TEST(Rfc3339, RefusesEverythingElse) {
  for (const char* text :
       {"", "2024", "2024-01-02", "2024-01-02 03:04:05Z", "2024-13-02T03:04:05Z",
        "2023-02-29T03:04:05Z", "2024-01-02T24:04:05Z", "2024-01-02T03:60:05Z",
        "2024-01-02T03:04:60Z", "2024-01-02T03:04:05", "2024-01-02T03:04:05.Z",
        "2024-01-02T03:04:05z", "2024-01-02T03:04:05+1:00", "2024-01-02T03:04:05Zx",
        "-024-01-02T03:04:05Z", "2024-01-02T03:04:05+0100"}) {
    EXPECT_FALSE(ParseRfc3339(text)) << text;
  }
}

TEST(LocalTime, ShowsTheZone) {
  setenv("TZ", "CET-1", 1);
  tzset();
  EXPECT_EQ(FormatRfc3339Local(1704164645), "2024-01-02T04:04:05+01:00");
  EXPECT_EQ(FormatLocalTime(1704164645), "2024-01-02 04:04:05 +0100 CET");
  setenv("TZ", "NST3:30", 1);
  tzset();
  EXPECT_EQ(FormatRfc3339Local(1704164645), "2024-01-01T23:34:05-03:30");
  setenv("TZ", "UTC0", 1);
  tzset();
  EXPECT_EQ(FormatRfc3339Local(1704164645), "2024-01-02T03:04:05Z");
  EXPECT_EQ(FormatLocalTime(1704164645), "2024-01-02 03:04:05 +0000 UTC");
  unsetenv("TZ");
  tzset();
}

TEST(ShortId, DropsTheAlgorithmAndKeepsTwelve) {
  EXPECT_EQ(ShortId("sha256:2c5b7f3cdd5f3a2b1e9ad9f6a0ad4de7"), "2c5b7f3cdd5f");
  EXPECT_EQ(ShortId("2c5b7f3cdd5f3a2b1e9a"), "2c5b7f3cdd5f");
  EXPECT_EQ(ShortId("<missing>"), "<missing>");
}

TEST(Ellipsis, CountsColumns) {
  EXPECT_EQ(Ellipsis("short", 45), "short");
  EXPECT_EQ(Ellipsis("abcdef", 6), "abcdef");
  EXPECT_EQ(Ellipsis("abcdefg", 6), "abcde…");
  EXPECT_EQ(Ellipsis("abc", 0), "");
  EXPECT_EQ(Ellipsis("短い短い", 8), "短い短い");
  EXPECT_EQ(Ellipsis("短い短い", 7), "短い短…");
  EXPECT_EQ(Ellipsis("短い短い", 6), "短い…");
}

}  // namespace
}  // namespace veneer::tools
