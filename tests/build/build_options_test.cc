// What the options of `veneer build` come to.
#include "tools/build/build_options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

namespace veneer::build {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Result<BuildSettings> Settings(const BuildFlags& flags) {
  TRY_ASSIGN(const BuildOptions options, ReadBuildOptions(flags));
  return ReadSettings(flags, options);
}

TEST(BuildOptions, NoCacheFilterNamesStagesInAnyCase) {
  BuildFlags flags;
  flags.no_cache_filter = {"one,Two", "three"};
  const auto settings = Settings(flags);
  ASSERT_TRUE(settings) << settings.error().Message();
  for (const char* stage : {"one", "ONE", "two", "three"})
    EXPECT_FALSE(UsesCache(*settings, stage)) << stage;
  EXPECT_TRUE(UsesCache(*settings, "four"));
  EXPECT_TRUE(UsesCache(*settings, "one,Two"));
}

TEST(BuildOptions, NoCacheGoesWithNoFilter) {
  BuildFlags flags;
  flags.no_cache = true;
  flags.no_cache_filter = {"one"};
  EXPECT_THAT(Settings(flags).error().Message(),
              HasSubstr("--no-cache and --no-cache-filter cannot currently be used together"));
  flags.no_cache_filter = {};
  EXPECT_FALSE(UsesCache(*Settings(flags), "one"));
}

TEST(BuildOptions, KeepGitDirIsAGoBoolean) {
  const auto keeps = [](std::vector<std::string> arguments) {
    BuildFlags flags;
    flags.build_args = std::move(arguments);
    return KeepsGitDir(*ReadBuildOptions(flags));
  };
  EXPECT_FALSE(keeps({}));
  for (const char* on : {"1", "true", "T"})
    EXPECT_TRUE(keeps({std::string("BUILDKIT_CONTEXT_KEEP_GIT_DIR=") + on})) << on;
  for (const char* off : {"0", "false", "", "yes"})
    EXPECT_FALSE(keeps({std::string("BUILDKIT_CONTEXT_KEEP_GIT_DIR=") + off})) << off;
}

TEST(BuildOptions, CacheMountsMayHaveANamespace) {
  BuildFlags flags;
  EXPECT_EQ(Settings(flags)->cache_namespace, "");
  flags.build_args = {"BUILDKIT_CACHE_MOUNT_NS=team"};
  EXPECT_EQ(Settings(flags)->cache_namespace, "team");
}

TEST(BuildOptions, AllowKnowsTwoEntitlements) {
  BuildFlags flags;
  flags.allow = {"network.host", "security.insecure"};
  EXPECT_TRUE(Settings(flags)->allow_insecure);
  flags.allow = {"network.host"};
  EXPECT_FALSE(Settings(flags)->allow_insecure);
  flags.allow = {"device"};
  EXPECT_THAT(Settings(flags).error().Message(), HasSubstr("--allow device is not supported"));
}

TEST(BuildOptions, HostsComeInLists) {
  BuildFlags flags;
  flags.add_hosts = {"a:1.2.3.4,b=1.1.1.1", "c:[::1]"};
  EXPECT_THAT(Settings(flags)->extra_hosts, ElementsAre("a:1.2.3.4", "b:1.1.1.1", "c:::1"));
  flags.add_hosts = {"a:1.2.3.4,b"};
  EXPECT_FALSE(Settings(flags));
}

TEST(BuildOptions, AnEmptyNetworkIsTheDefault) {
  BuildFlags flags;
  flags.network = "";
  EXPECT_EQ(Settings(flags)->network, "default");
}

TEST(BuildOptions, NamesOfContextsHaveNoCase) {
  std::map<std::string, NamedContext> contexts;
  contexts["base"].directory = "/b";
  contexts["alpine:3"].directory = "/a";
  contexts["busybox:edge"].directory = "/e";
  EXPECT_EQ(FindContext(contexts, "BASE")->directory, "/b");
  EXPECT_EQ(FindContext(contexts, "docker.io/library/alpine:3")->directory, "/a");
  EXPECT_EQ(FindContext(contexts, "docker.io/library/busybox:Edge")->directory, "/e");
  EXPECT_EQ(FindContext(contexts, "other"), nullptr);
}

std::string PlatformOf(std::vector<std::string> platforms) {
  BuildFlags flags;
  flags.platforms = std::move(platforms);
  const auto options = ReadBuildOptions(flags);
  if (!options) return options.error().Message();
  return options->platform ? Format(*options->platform) : "none";
}

TEST(BuildOptions, PlatformsHaveTheirUsualNames) {
  unsetenv("DOCKER_DEFAULT_PLATFORM");
  EXPECT_EQ(PlatformOf({}), "none");
  EXPECT_EQ(PlatformOf({""}), "none");
  EXPECT_EQ(PlatformOf({"linux/arm64/v8"}), "linux/arm64");
  EXPECT_EQ(PlatformOf({"linux/arm"}), "linux/arm/v7");
  EXPECT_EQ(PlatformOf({"linux/x86_64"}), "linux/amd64");
  EXPECT_EQ(PlatformOf({"local"}), Format(HostPlatform()));
  EXPECT_THAT(PlatformOf({"nope"}), HasSubstr("unknown operating system or architecture"));
}

TEST(BuildOptions, OnePlatformAtATime) {
  const std::string several =
      "--platform: one platform can be built at a time, not linux/amd64 and linux/arm64";
  EXPECT_THAT(PlatformOf({"linux/amd64,linux/arm64"}), HasSubstr(several));
  EXPECT_THAT(PlatformOf({"linux/amd64", "linux/arm64"}), HasSubstr(several));
  EXPECT_EQ(PlatformOf({"linux/arm64/v8, linux/arm64", "linux/arm64"}), "linux/arm64");
}

TEST(BuildOptions, TheEnvironmentHasTheDefaultPlatform) {
  setenv("DOCKER_DEFAULT_PLATFORM", "linux/riscv64", 1);
  EXPECT_EQ(PlatformOf({}), "linux/riscv64");
  EXPECT_EQ(PlatformOf({"linux/s390x"}), "linux/s390x");
  unsetenv("DOCKER_DEFAULT_PLATFORM");
}

}  // namespace
}  // namespace veneer::build
