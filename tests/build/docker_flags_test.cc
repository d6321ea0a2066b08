#include "tools/build/docker_flags.h"

#include <gtest/gtest.h>

namespace veneer::build {
namespace {

// What comes of the words: "build", "check" or an error.
std::string Outcome(std::vector<std::string> words) {
  BuildFlags flags;
  CLI::App app;
  AddDockerFlags(&app, flags);
  app.add_option("context", flags.context);
  words.insert(words.begin(), "ctx");
  std::ranges::reverse(words);  // as CLI11 takes them
  app.parse(std::move(words));
  EXPECT_EQ(flags.context, "ctx");
  const Result<> checked = CheckDockerFlags(flags);
  if (!checked) return checked.error().Message();
  return WantsCheck(flags) ? "check" : "build";
}

TEST(DockerFlags, WhatAsksForNothingIsTaken) {
  for (const std::vector<std::string>& words : std::vector<std::vector<std::string>>{
           {},
           {"--provenance=false"},
           {"--provenance", "false", "--sbom=0"},
           {"--compress", "-D", "--debug"},
           {"--isolation", "default", "--isolation", ""},
           {"--security-opt", "seccomp=unconfined", "--builder", "default"},
           {"--memory", "", "--attest", ""},
           {"--call=build"}}) {
    EXPECT_EQ(Outcome(words), "build");
  }
  EXPECT_EQ(Outcome({"--call=check"}), "check");
}

TEST(DockerFlags, WhatCannotBeHadIsNamed) {
  const auto refused = [](const std::string& flag) {
    return flag + " is not supported by veneer build";
  };
  EXPECT_EQ(Outcome({"--provenance=mode=max"}), refused("--provenance=mode=max"));
  EXPECT_EQ(Outcome({"--sbom", "true"}), refused("--sbom=true"));
  EXPECT_EQ(Outcome({"--attest", "type=sbom"}), refused("--attest"));
  EXPECT_EQ(Outcome({"--annotation=a=b"}), refused("--annotation"));
  EXPECT_EQ(Outcome({"-m", "1g"}), refused("--memory"));
  EXPECT_EQ(Outcome({"-c", "5"}), refused("--cpu-shares"));
  EXPECT_EQ(Outcome({"--cgroup-parent", "x"}), refused("--cgroup-parent"));
  EXPECT_EQ(Outcome({"--isolation=hyperv"}), refused("--isolation=hyperv"));
  EXPECT_EQ(Outcome({"--call=outline"}), refused("--call=outline"));
  EXPECT_EQ(Outcome({"--call=targets"}), refused("--call=targets"));
}

}  // namespace
}  // namespace veneer::build
