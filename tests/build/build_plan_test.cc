// What a Dockerfile comes to before anything runs: steps, what they see, config and history.
#include "tools/build/build_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace veneer::build {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using Json = nlohmann::json;

constexpr const char* kBase =
    R"({"architecture":"amd64","os":"linux","created":"2020-01-01T00:00:00Z",
  "config":{"Env":["A=base"],"Cmd":["base-cmd"],"WorkingDir":"/base","OnBuild":["RUN trigger"],"Hostname":"gone"},
  "rootfs":{"type":"layers","diff_ids":["sha256:1111111111111111111111111111111111111111111111111111111111111111"]},
  "history":[{"created":"2020-01-01T00:00:00Z","created_by":"ADD base"}]})";

BaseImage Base() {
  BaseImage image;
  image.config = kBase;
  image.env = {"A=base"};
  image.working_dir = "/base";
  image.on_build = {"RUN trigger"};
  return image;
}

Located<BuildPlan> Plan(std::string_view text, BuildOptions options = {}) {
  options.base_image = [](const std::string& name) -> std::optional<BaseImage> {
    if (name == "docker.io/library/base:latest") return Base();
    return std::nullopt;
  };
  Linter linter{LintOptions{}};
  return PlanBuild(text, "", options, false, linter);
}

DiffId Layer(int n) { return DiffId(Digest::Of(std::to_string(n))); }

Json ConfigOf(const ImageDraft& draft, std::vector<int64_t> created = {},
              std::optional<int64_t> epoch = {}) {
  std::vector<DiffId> layers;
  layers.reserve(draft.own_layers());
  for (size_t i = 0; i < draft.own_layers(); ++i) layers.push_back(Layer(static_cast<int>(i)));
  return Json::parse(draft.Finish(layers, created, epoch));
}

TEST(BuildPlan, StepsAreWhatMakesLayersAndAreNumberedWithFrom) {
  const auto plan =
      Plan("FROM base AS one\nENV X=1\nWORKDIR /w\nCOPY a b\nFROM one\nRUN echo $X\n");
  ASSERT_TRUE(plan) << plan.error().message;
  const PlannedStage& one = plan->stages[0];
  EXPECT_EQ(one.title, "[one 1/4] FROM base");
  ASSERT_EQ(one.steps.size(), 3u);
  EXPECT_EQ(one.steps[0].title, "[one 2/4] RUN trigger") << "a trigger of the base comes first";
  EXPECT_EQ(one.steps[1].title, "[one 3/4] WORKDIR /w");
  EXPECT_EQ(one.steps[2].title, "[one 4/4] COPY a b");
  EXPECT_EQ(one.steps[2].working_dir, "/w");
  EXPECT_EQ(plan->stages[1].steps[0].title, "[stage-1 1/1] RUN echo $X");
  EXPECT_THAT(plan->stages[1].steps[0].env, Contains("X=1"));
}

TEST(BuildPlan, StagesThatTheTargetDoesNotNeedAreLeftOut) {
  BuildOptions options;
  options.target = "b";
  const auto plan =
      Plan("FROM base AS a\nRUN a\nFROM scratch AS b\nCOPY x y\nFROM base AS c\n", options);
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->target, 1u);
  EXPECT_FALSE(plan->stages[0].needed);
  EXPECT_TRUE(plan->stages[1].needed);
  EXPECT_FALSE(plan->stages[2].needed);
}

TEST(BuildPlan, ArgumentsAreSeenByRunAndToldInItsHistory) {
  BuildOptions options;
  options.build_args["B"] = "given";
  const auto plan = Plan("FROM base\nARG B=default\nARG C\nRUN [\"x\"]\nRUN y\n", options);
  ASSERT_TRUE(plan);
  const auto& steps = plan->stages[0].steps;
  EXPECT_THAT(steps[1].env, Contains("B=given"));
  const Json config = ConfigOf(plan->stages[0].draft);
  EXPECT_EQ(config["history"][2]["created_by"], "ARG B=given");
  EXPECT_EQ(config["history"][3]["created_by"], "ARG C");
  EXPECT_EQ(config["history"][4]["created_by"], "RUN |2 B=given C= x # buildkit");
  EXPECT_EQ(config["history"][5]["created_by"], "RUN |2 B=given C= /bin/sh -c y # buildkit");
  for (const Json& variable : config["config"]["Env"]) EXPECT_NE(variable, "B=given");
}

TEST(BuildPlan, HeredocsOfRunAreScriptsOrTheShells) {
  const auto plan = Plan(
      "FROM scratch\nRUN <<EOF\n#!/bin/x\nbody\nEOF\nRUN <<EOF\nplain\nEOF\nRUN cat <<A "
      "<<B\na\nA\nb\nB\n"
      "RUN <<-EOF\n\tindented\nEOF\n");
  ASSERT_TRUE(plan) << plan.error().message;
  const auto& steps = plan->stages[0].steps;
  ASSERT_TRUE(steps[0].run->script);
  EXPECT_EQ(steps[0].run->script->content, "#!/bin/x\nbody\n");
  EXPECT_THAT(steps[0].run->words, ElementsAre("/bin/sh", "-c", "/dev/pipes/EOF"));
  EXPECT_THAT(steps[1].run->words, ElementsAre("/bin/sh", "-c", "plain\n"));
  EXPECT_THAT(steps[2].run->words, ElementsAre("/bin/sh", "-c", "cat <<A <<B\na\nA\nb\nB"));
  EXPECT_THAT(steps[3].run->words, ElementsAre("/bin/sh", "-c", "indented\n"));
}

TEST(ImageDraft, InstructionsChangeTheConfigAsBuildKitWritesIt) {
  const auto plan = Plan(
      "FROM scratch\nENV A=1 B=\"two words\"\nENV A=3\nLABEL k=v l=w\nEXPOSE 80 443/udp\nVOLUME /v "
      "/w\n"
      "USER u:g\nWORKDIR rel\nSTOPSIGNAL SIGUSR1\nSHELL [\"/bin/x\", \"-e\"]\nCMD run it\n"
      "HEALTHCHECK --interval=90s --retries=3 CMD test\nONBUILD RUN later\nMAINTAINER me\n");
  ASSERT_TRUE(plan) << plan.error().message;
  const Json image = ConfigOf(plan->stages[0].draft);
  const Json& config = image["config"];
  EXPECT_EQ(
      config["Env"],
      Json::parse(
          R"(["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin","A=3","B=two words"])"));
  EXPECT_EQ(config["Labels"], Json::parse(R"({"k":"v","l":"w"})"));
  EXPECT_EQ(config["ExposedPorts"], Json::parse(R"({"80/tcp":{},"443/udp":{}})"));
  EXPECT_EQ(config["Volumes"], Json::parse(R"({"/v":{},"/w":{}})"));
  EXPECT_EQ(config["User"], "u:g");
  EXPECT_EQ(config["WorkingDir"], "/rel");
  EXPECT_EQ(config["StopSignal"], "SIGUSR1");
  EXPECT_EQ(config["Cmd"], Json::parse(R"(["/bin/x","-e","run it"])"));
  EXPECT_EQ(config["Healthcheck"],
            Json::parse(R"({"Test":["CMD-SHELL","test"],"Interval":90000000000,"Retries":3})"));
  EXPECT_EQ(config["OnBuild"], Json::parse(R"(["RUN later"])"));
  EXPECT_EQ(image["author"], "me");
  std::vector<std::string> history;
  for (const Json& entry : image["history"]) history.push_back(entry["created_by"]);
  EXPECT_THAT(
      history,
      ElementsAre("ENV A=1 B=two words", "ENV A=3", "LABEL k=v l=w", "EXPOSE [443/udp 80/tcp]",
                  "VOLUME [/v /w]", "USER u:g", "WORKDIR /rel # buildkit", "STOPSIGNAL SIGUSR1",
                  "SHELL [/bin/x -e]", "CMD [\"/bin/x\" \"-e\" \"run it\"]",
                  "HEALTHCHECK &{[\"CMD-SHELL\" \"test\"] \"1m30s\" \"0s\" \"0s\" \"0s\" '\\x03'}",
                  "MAINTAINER me"));
  EXPECT_EQ(image["history"][0]["empty_layer"], true);
  EXPECT_FALSE(image["history"][6].contains("empty_layer"));
}

TEST(ImageDraft, AnEntrypointDropsTheBasesArgumentsUnlessTheStageHasItsOwn) {
  const auto without = Plan("FROM base\nENTRYPOINT [\"e\"]\n");
  EXPECT_FALSE(ConfigOf(without->stages[0].draft)["config"].contains("Cmd"));
  const auto before = Plan("FROM base\nCMD [\"c\"]\nENTRYPOINT [\"e\"]\n");
  EXPECT_EQ(ConfigOf(before->stages[0].draft)["config"]["Cmd"], Json::parse(R"(["c"])"));
}

TEST(ImageDraft, ABaseKeepsItsHistoryAndLosesItsTriggers) {
  const auto plan = Plan("FROM base\nCMD x\n");
  const Json image = ConfigOf(plan->stages[0].draft, {1600000000});
  EXPECT_FALSE(image["config"].contains("OnBuild"));
  EXPECT_FALSE(image["config"].contains("Hostname"));
  EXPECT_EQ(image["config"]["WorkingDir"], "/base");
  ASSERT_EQ(image["history"].size(), 3u);
  EXPECT_EQ(image["history"][0]["created_by"], "ADD base");
  EXPECT_EQ(image["history"][0]["created"], "2020-01-01T00:00:00Z");
  EXPECT_EQ(image["history"][1]["created"], "2020-09-13T12:26:40Z");
  EXPECT_EQ(image["history"][2]["created"], "2020-09-13T12:26:40Z") << "as the layer before";
  EXPECT_EQ(image["created"], "2020-09-13T12:26:40Z");
}

TEST(ImageDraft, WhatComesBeforeTheFirstLayerWasMadeWithIt) {
  const auto plan = Plan("FROM scratch\nENV A=1\nCOPY a b\nENV B=1\nCOPY c d\n");
  const Json image = ConfigOf(plan->stages[0].draft, {1000000000, 1100000000});
  std::vector<std::string> times;
  for (const Json& entry : image["history"]) times.push_back(entry["created"]);
  EXPECT_THAT(times, ElementsAre("2001-09-09T01:46:40Z", "2001-09-09T01:46:40Z",
                                 "2001-09-09T01:46:40Z", "2004-11-09T11:33:20Z"));
}

TEST(ImageDraft, AnEpochIsTheTimeOfAllThatIsNew) {
  const auto plan = Plan("FROM base\nENV A=1\nCOPY a b\n");
  const Json image = ConfigOf(plan->stages[0].draft, {1600000000, 1700000000}, 1000);
  EXPECT_EQ(image["created"], "1970-01-01T00:16:40Z");
  EXPECT_EQ(image["history"][0]["created"], "2020-01-01T00:00:00Z");
  for (size_t i = 1; i < image["history"].size(); ++i)
    EXPECT_EQ(image["history"][i]["created"], "1970-01-01T00:16:40Z");
}

TEST(ImageDraft, ConfigsOfOthersAreReadWhateverTheirHistorySays) {
  const auto more = ImageDraft::From(R"({"rootfs":{"type":"layers","diff_ids":[
    "sha256:1111111111111111111111111111111111111111111111111111111111111111",
    "sha256:2222222222222222222222222222222222222222222222222222222222222222"]},"history":[]})");
  ASSERT_TRUE(more);
  const std::vector<DiffId> two = {Layer(1), Layer(2)};
  EXPECT_EQ(Json::parse(more->Finish(two, {}, {}))["history"].size(), 2u);
  const auto fewer = ImageDraft::From(
      R"({"rootfs":{"type":"layers","diff_ids":[]},"history":[{"created_by":"x"},3]})");
  ASSERT_TRUE(fewer);
  EXPECT_EQ(Json::parse(fewer->Finish({}, {}, {}))["history"][0]["empty_layer"], true);
  EXPECT_FALSE(ImageDraft::From("no config"));
}

}  // namespace
}  // namespace veneer::build
