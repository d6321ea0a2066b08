// What the options of `veneer build` come to.
#include "tools/build/build_options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace veneer::build {
namespace {

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

}  // namespace
}  // namespace veneer::build
