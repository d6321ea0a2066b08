#include "store/base/background_sha256.h"

#include <gtest/gtest.h>

namespace veneer {
namespace {

Digest InPieces(std::string_view data, size_t piece) {
  BackgroundSha256 hash;
  for (size_t at = 0; at < data.size(); at += piece) {
    EXPECT_TRUE(hash.Update(data.substr(at, piece)));
  }
  auto digest = hash.Finish();
  EXPECT_TRUE(digest);
  return digest.value_or(Digest());
}

TEST(BackgroundSha256, IsTheDigestOfAllThatCame) {
  std::string data(5'000'017, '\0');
  for (size_t i = 0; i < data.size(); ++i) data[i] = static_cast<char>(i * i >> 7);
  for (size_t size :
       {size_t{0}, size_t{5}, size_t{256 << 10}, size_t{(256 << 10) + 1}, data.size()}) {
    std::string_view part = std::string_view(data).substr(0, size);
    for (size_t piece : {size_t{1000}, size_t{256 << 10}, size_t{3 << 20}}) {
      EXPECT_EQ(InPieces(part, piece), Digest::Of(part)) << size << " in " << piece;
    }
  }
}

}  // namespace
}  // namespace veneer
