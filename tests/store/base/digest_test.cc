#include "store/base/digest.h"

#include <gtest/gtest.h>

#include <vector>

namespace veneer {
namespace {

TEST(DigestTest, KnownValues) {
  EXPECT_EQ(Digest::Of("").Hex(),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(Digest::Of("abc").ToString(),
            "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(DigestTest, ParsesOnlyLowercaseSha256) {
  std::string hex = Digest::Of("x").Hex();
  EXPECT_EQ(*Digest::Parse("sha256:" + hex), Digest::Of("x"));
  EXPECT_EQ(*Digest::ParseHex(hex), Digest::Of("x"));
  for (const std::string& bad :
       {hex, "sha512:" + hex, "sha256:" + hex + "0", "sha256:" + hex.substr(1),
        "sha256:" + std::string(64, 'G'), "sha256:" + std::string(64, 'A'), std::string()}) {
    EXPECT_FALSE(Digest::Parse(bad)) << bad;
  }
}

TEST(DigestTest, ZerosCountAsWritten) {
  Sha256 written, counted;
  written.Update(std::string(200'000, '\0') + "end");
  counted.UpdateZeros(200'000);
  counted.Update("end");
  EXPECT_EQ(written.Finish(), counted.Finish());
}

TEST(DigestTest, HasherStartsAfreshAfterFinish) {
  Sha256 hash;
  hash.Update("first");
  hash.Finish();
  hash.Update("abc");
  EXPECT_EQ(hash.Finish(), Digest::Of("abc"));
}

// OCI image-spec, config.md "Layer ChainID".
TEST(DigestTest, ChainIdFollowsTheSpecification) {
  std::vector<DiffId> layers = {DiffId(Digest::Of("a")), DiffId(Digest::Of("b")),
                                DiffId(Digest::Of("c"))};
  EXPECT_EQ(ChainIdOf(std::span(layers).first(1)).digest, layers[0].digest);
  ChainId two(Digest::Of(layers[0].ToString() + " " + layers[1].ToString()));
  EXPECT_EQ(ChainIdOf(std::span(layers).first(2)), two);
  EXPECT_EQ(ChainIdOf(layers).digest, Digest::Of(two.ToString() + " " + layers[2].ToString()));
}

}  // namespace
}  // namespace veneer
