#include "store/base/bytes.h"

#include <gtest/gtest.h>

#include "store/base/crc32c.h"

namespace veneer {
namespace {

TEST(BytesTest, LittleEndianBothWays) {
  std::string out;
  AppendLE<uint32_t>(out, 0x01020304);
  EXPECT_EQ(out, std::string("\x04\x03\x02\x01"));
  AppendLE<int64_t>(out, -2);
  ByteReader reader(out);
  EXPECT_EQ(reader.Read<uint32_t>(), 0x01020304u);
  EXPECT_EQ(reader.Read<int64_t>(), -2);
  EXPECT_TRUE(reader.ok());
  EXPECT_EQ(reader.remaining(), 0u);
}

TEST(BytesTest, ReadingPastTheEndIsRemembered) {
  ByteReader reader("abc");
  EXPECT_EQ(reader.Take(2), "ab");
  EXPECT_EQ(reader.Read<uint16_t>(), 0);
  EXPECT_FALSE(reader.ok());
  EXPECT_EQ(reader.Take(1), "") << "after a failure nothing more is given";
}

// RFC 3720, appendix B.4.
TEST(Crc32cTest, KnownValues) {
  EXPECT_EQ(Crc32c(std::string(32, '\0')), 0x8a9136aau);
  EXPECT_EQ(Crc32c(std::string(32, '\xff')), 0x62a8ab43u);
  EXPECT_EQ(Crc32c("123456789"), 0xe3069283u);
}

TEST(Crc32cTest, MayBeContinued) {
  EXPECT_EQ(Crc32c("6789", Crc32c("12345")), Crc32c("123456789"));
}

}  // namespace
}  // namespace veneer
