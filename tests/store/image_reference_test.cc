// Names as Docker reads them; the accepted and refused ones were tried on Docker itself.
#include "store/image_reference.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace veneer {
namespace {

const std::string kHex(64, 'a');

std::string ErrorOf(const std::string& text) {
  const Result<ImageReference> reference = ImageReference::Parse(text);
  return reference ? "accepted" : reference.error().Message();
}

TEST(ImageReference, FillsInDockersDefaults) {
  const Result<ImageReference> debian = ImageReference::Parse("debian");
  ASSERT_TRUE(debian);
  EXPECT_EQ(debian->domain(), "docker.io");
  EXPECT_EQ(debian->path(), "library/debian");
  EXPECT_EQ(debian->tag(), "latest");
  EXPECT_FALSE(debian->digest());
  EXPECT_EQ(debian->Canonical(), "docker.io/library/debian:latest");
  EXPECT_EQ(debian->Familiar(), "debian:latest");
  EXPECT_EQ(debian->FamiliarName(), "debian");
}

TEST(ImageReference, KnowsTheCanonicalAndTheFamiliarForm) {
  struct Case {
    std::string text;
    std::string canonical;
    std::string familiar;
  };
  const std::vector<Case> cases = {
      {"a:80", "docker.io/library/a:80", "a:80"},
      {"a:80/b", "a:80/b:latest", "a:80/b:latest"},
      {"user/app:1.2", "docker.io/user/app:1.2", "user/app:1.2"},
      {"docker.io/x", "docker.io/library/x:latest", "x:latest"},
      {"docker.io/library/x", "docker.io/library/x:latest", "x:latest"},
      {"index.docker.io/library/foo", "docker.io/library/foo:latest", "foo:latest"},
      {"docker.io/library/a/b", "docker.io/library/a/b:latest", "library/a/b:latest"},
      {"localhost/x", "localhost/x:latest", "localhost/x:latest"},
      {"localhost:5000/x/y:t", "localhost:5000/x/y:t", "localhost:5000/x/y:t"},
      {"Foo.io/x", "Foo.io/x:latest", "Foo.io/x:latest"},
      {"LOCALHOST/x", "LOCALHOST/x:latest", "LOCALHOST/x:latest"},
      {"[::1]:5000/x", "[::1]:5000/x:latest", "[::1]:5000/x:latest"},
      {"a.b/c", "a.b/c:latest", "a.b/c:latest"},
      {"a__b---c.d", "docker.io/library/a__b---c.d:latest", "a__b---c.d:latest"},
      {"a/b/c/d:1", "docker.io/a/b/c/d:1", "a/b/c/d:1"},
      {"x@sha256:" + kHex, "docker.io/library/x@sha256:" + kHex, "x@sha256:" + kHex},
      {"x:y@sha256:" + kHex, "docker.io/library/x:y@sha256:" + kHex, "x:y@sha256:" + kHex},
  };
  for (const Case& c : cases) {
    const Result<ImageReference> reference = ImageReference::Parse(c.text);
    ASSERT_TRUE(reference) << c.text << ": " << reference.error().Message();
    EXPECT_EQ(reference->Canonical(), c.canonical);
    EXPECT_EQ(reference->Familiar(), c.familiar);
    EXPECT_EQ(*ImageReference::Parse(reference->Canonical()), *reference);
    EXPECT_EQ(*ImageReference::Parse(reference->Familiar()), *reference);
  }
}

TEST(ImageReference, ADigestAloneHasNoTag) {
  const Result<ImageReference> reference = ImageReference::Parse("x@sha256:" + kHex);
  ASSERT_TRUE(reference);
  EXPECT_EQ(reference->tag(), "");
  EXPECT_EQ(reference->digest()->Hex(), kHex);
}

TEST(ImageReference, RefusesUppercaseNames) {
  EXPECT_EQ(ErrorOf("Foo"),
            "invalid reference format: repository name (library/Foo) must be lowercase");
  EXPECT_EQ(ErrorOf("docker.io/Foo"),
            "invalid reference format: repository name (library/Foo) must be lowercase");
  EXPECT_EQ(ErrorOf("foo/Bar:Tag"),
            "invalid reference format: repository name (foo/Bar) must be lowercase");
  EXPECT_EQ(ErrorOf("x:TAG"), "accepted");
}

TEST(ImageReference, RefusesWhatTheGrammarDoesNotHave) {
  const std::vector<std::string> bad = {
      "",
      "a:b:c",
      "-x",
      "x-",
      "a___b",
      "a..b",
      "x:-",
      "x/",
      "/x",
      "x//y",
      "é",
      "x:",
      "https://x",
      "x@sha256:abc",
      "x@",
      "x@" + kHex,
      "a b",
      "x\n",
      ".x",
      "x:" + std::string(129, 't'),
      "-.io/x",
      "a:/b",
      "a:8x/b",
      "[::1/x",
      "[]/x",
      "x:a@",
      "x@sha256:" + kHex + "@y",
  };
  for (const std::string& text : bad) EXPECT_EQ(ErrorOf(text), "invalid reference format") << text;
}

TEST(ImageReference, RefusesIdsAndForeignDigests) {
  EXPECT_EQ(ErrorOf(kHex),
            "invalid repository name (" + kHex + "), cannot specify 64-byte hexadecimal strings");
  EXPECT_EQ(ErrorOf("library/" + kHex), "accepted");
  EXPECT_EQ(ErrorOf("x@md5:" + std::string(32, 'a')), "unsupported digest algorithm");
  EXPECT_EQ(ErrorOf("x@sha256:" + std::string(63, 'a')), "invalid checksum digest length");
  EXPECT_EQ(ErrorOf("x@sha256:" + std::string(64, 'A')), "invalid checksum digest format");
}

TEST(ImageReference, LimitsLengths) {
  EXPECT_EQ(ErrorOf("x:" + std::string(128, 't')), "accepted");
  const std::string longest(255 - sizeof("docker.io/library"), 'a');
  EXPECT_EQ(ErrorOf(longest), "accepted");
  EXPECT_EQ(ErrorOf(longest + "a"), "repository name must not be more than 255 characters");
}

}  // namespace
}  // namespace veneer
