// Rules of --check, and what whole Dockerfiles get wrong; names and messages are BuildKit's.
#include "tools/build/check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tools/build/language/parser.h"

namespace veneer::build {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

// "Rule@line: message" per warning, then "ERR message", each on a line.
std::string Check(const std::string& text, const BuildOptions& options = {},
                  const std::string& ignore = "") {
  const CheckReport report = CheckDockerfile(text, ignore, options);
  std::string out;
  for (const LintWarning& warning : report.warnings) {
    out += std::string(warning.rule.name) + "@" + std::to_string(warning.lines.first) + ": " +
           warning.message + "\n";
  }
  if (report.error) out += "ERR " + report.error->message + "\n";
  return out;
}

struct Case {
  std::string text;
  std::string want;
};

void CheckAll(const std::vector<Case>& cases) {
  for (const Case& c : cases) EXPECT_EQ(Check(c.text), c.want) << c.text;
}

TEST(Check, TheBuildArgumentStandsInPlaceOfTheDirective) {
  const auto check = [](const std::string& argument, const std::string& text) {
    BuildOptions options;
    options.build_args["BUILDKIT_DOCKERFILE_CHECK"] = argument;
    return Check(text, options);
  };
  const std::string file = "FROM a AS B\nCMD c";
  EXPECT_EQ(check("skip=all", file), "");
  EXPECT_THAT(check("skip=StageNameCasing;error=true", file),
              HasSubstr("ERR lint violation found for rules: JSONArgsRecommended\n"));
  const std::string skips = "# check=skip=all\n" + file;
  EXPECT_THAT(check("skip=JSONArgsRecommended", skips), StartsWith("StageNameCasing@2"));
  EXPECT_THAT(check("", skips), HasSubstr("JSONArgsRecommended@3"));
  EXPECT_EQ(check("x", file), "ERR failed to parse check options: invalid check option \"x\"\n");
}

TEST(Check, StageNames) {
  CheckAll({
      {"FROM a AS b", ""},
      {"FROM a AS B", "StageNameCasing@1: Stage name 'B' should be lowercase\n"},
      {"FROM a as b", "FromAsCasing@1: 'as' and 'FROM' keywords' casing do not match\n"},
      {"from a AS b", "FromAsCasing@1: 'AS' and 'from' keywords' casing do not match\n"},
      {"from a as b", ""},
      {"FROM a AS b\nFROM a AS b",
       "DuplicateStageName@2: Duplicate stage name \"b\", stage names should be unique\n"},
      {"FROM a AS scratch",
       "ReservedStageName@1: Stage name should not use the same name as reserved stage "
       "\"scratch\"\n"},
  });
}

TEST(Check, Keywords) {
  CheckAll({
      {"FROM a\nRUN b\nrun c",
       "ConsistentInstructionCasing@3: Command 'run' should match the case of the command majority "
       "(uppercase)\n"},
      {"from a\nrun b\nRUN c",
       "ConsistentInstructionCasing@3: Command 'RUN' should match the case of the command majority "
       "(lowercase)\n"},
      {"From a",
       "ConsistentInstructionCasing@1: Command 'From' should match the case of the command "
       "majority (uppercase)\n"},
      {"FROM a\nMAINTAINER b",
       "MaintainerDeprecated@2: Maintainer instruction is deprecated in favor of using label\n"},
      {"FROM a\nCMD b",
       "JSONArgsRecommended@2: JSON arguments recommended for CMD to prevent unintended behavior "
       "related to OS signals\n"},
      {"FROM a\nSHELL [\"bash\"]\nENTRYPOINT b", ""},
      {"FROM a\nCMD [\"b\"]\nCMD [\"c\"]",
       "MultipleInstructionsDisallowed@2: Multiple CMD instructions should not be used in the same "
       "stage because only the last one will be used\n"},
      {"FROM a AS x\nCMD [\"b\"]\nFROM x\nCMD [\"c\"]", ""},
      {"FROM a\nENV b c\nLABEL d e",
       "LegacyKeyValueFormat@2: \"ENV key=value\" should be used instead of legacy \"ENV key "
       "value\" format\n"
       "LegacyKeyValueFormat@3: \"LABEL key=value\" should be used instead of legacy \"LABEL key "
       "value\" format\n"},
      {"FROM a\nRUN b \\\n\n c\n", "NoEmptyContinuation@4: Empty continuation line\n"},
      {"FROM a\nWORKDIR b\nWORKDIR c",
       "WorkdirRelativePath@2: Relative workdir \"b\" can have unexpected results if the base "
       "image changes\n"},
      {"FROM a AS x\nWORKDIR /b\nFROM x\nWORKDIR c", ""},
      {"FROM a\nEXPOSE 80/TCP 81:82",
       "ExposeProtoCasing@2: Defined protocol '80/TCP' in EXPOSE instruction should be lowercase\n"
       "ExposeInvalidFormat@2: EXPOSE instruction should not define an IP address or host-port "
       "mapping, found '81:82'\n"},
  });
}

TEST(Check, SecretsByTheirName) {
  for (const char* name : {"API_KEY", "github_token", "AUTH", "my_passwd_x", "SECRET"}) {
    EXPECT_EQ(Check("FROM a\nARG " + std::string(name)),
              "SecretsUsedInArgOrEnv@2: Do not use ARG or ENV instructions for sensitive data (ARG "
              "\"" +
                  std::string(name) + "\")\n");
  }
  for (const char* name : {"PUBLIC_KEY", "SECRET_FILE", "TOKEN_VERSION", "KEYBOARD", "MONKEY"})
    EXPECT_EQ(Check("FROM a\nENV " + std::string(name) + "=x"), "");
}

TEST(Check, VariablesInFrom) {
  CheckAll({
      {"ARG b=a\nFROM $b", ""},
      {"ARG b\nFROM $b",
       "InvalidDefaultArgInFrom@2: Default value for ARG $b results in empty or invalid base image "
       "name\nERR base name ($b) should not be blank\n"},
      {"ARG VERSION=1\nFROM a:${VERSON:-2}",
       "UndefinedArgInFrom@2: FROM argument 'VERSON' is not declared (did you mean VERSION?)\n"},
      {"FROM a:$X",
       "InvalidDefaultArgInFrom@1: Default value for ARG a:$X results in empty or invalid base "
       "image name\nUndefinedArgInFrom@1: FROM argument 'X' is not declared\n"
       "ERR failed to parse stage name \"a:\": invalid reference format\n"},
      {"FROM --platform=$BUILDPLATFORM a", ""},
      {"FROM --platform=$TARGETPLATFORM a",
       "RedundantTargetPlatform@1: Setting platform to predefined $TARGETPLATFORM in FROM is "
       "redundant as this is the default behavior\n"},
      {"FROM --platform=linux/arm64 a",
       "FromPlatformFlagConstDisallowed@1: FROM --platform flag should not use constant value "
       "\"linux/arm64\"\n"},
      {"FROM --platform=linux/arm64 a AS for-arm64", ""},
      {"FROM --platform=$BUILDPLATFROM a",
       "UndefinedArgInFrom@1: FROM argument 'BUILDPLATFROM' is not declared (did you mean "
       "BUILDPLATFORM?)\nERR empty platform value from expression $BUILDPLATFROM (did you mean "
       "BUILDPLATFORM?)\n"},
      {"FROM --platform=nope a",
       "ERR failed to parse platform nope: \"nope\": unknown operating system or architecture: "
       "invalid argument\n"},
  });
  BuildOptions options;
  options.build_args["b"] = "debian";
  EXPECT_EQ(Check("ARG b\nFROM $b", options),
            "InvalidDefaultArgInFrom@2: Default value for ARG $b results in empty or invalid base "
            "image name\n");
}

TEST(Check, VariablesInStages) {
  CheckAll({
      {"FROM a\nENV b=c\nCOPY $b ${b:-x} /", ""},
      {"FROM a\nCOPY $b /", "UndefinedVar@2: Usage of undefined variable '$b'\n"},
      {"FROM a\nENV FOOO=1\nCOPY $FOO /",
       "UndefinedVar@3: Usage of undefined variable '$FOO' (did you mean $FOOO?)\n"},
      {"FROM a\nARG b\nCOPY $b /", ""},
      {"FROM a\nRUN echo $b", ""},
      {"FROM a\nCMD [\"$b\"]", ""},
      {"FROM a\nENV P=$PATH:/x", ""},
      {"ARG b=1\nFROM a\nCOPY $b /", "UndefinedVar@3: Usage of undefined variable '$b'\n"},
      {"ARG b=1\nFROM a\nARG b\nCOPY $b /", ""},
      {"FROM a AS x\nARG b=1\nFROM x\nCOPY $b /", ""},
      {"FROM a AS x\nARG b=1\nFROM a\nCOPY $b /",
       "UndefinedVar@4: Usage of undefined variable '$b'\n"},
      {"FROM a\nCOPY $TARGETARCH /", "UndefinedVar@2: Usage of undefined variable '$TARGETARCH'\n"},
      {"FROM a\nARG TARGETARCH TARGETVARIANT\nCOPY $TARGETARCH$TARGETVARIANT /", ""},
      {"FROM a\nARG b=$c", "UndefinedVar@2: Usage of undefined variable '$c'\n"},
      {"FROM a\nENV b=1 c=$b", "UndefinedVar@2: Usage of undefined variable '$b'\n"},
      {"FROM a\nCOPY '$b' \\$c /", ""},
      {"FROM a\nCOPY <<E /\n'$b' \\$c\nE", "UndefinedVar@2: Usage of undefined variable '$b'\n"},
      {"FROM a\nCOPY <<'E' /\n$b\nE", ""},
      {"# escape=`\nFROM a\nCOPY `$b c:\\d /", ""},
      {"FROM a\nUSER $b\nWORKDIR /$c\nVOLUME $d\nLABEL e=$f",
       "UndefinedVar@2: Usage of undefined variable '$b'\n"
       "UndefinedVar@3: Usage of undefined variable '$c'\n"
       "UndefinedVar@4: Usage of undefined variable '$d'\n"
       "ERR VOLUME specified can not be an empty string\n"},
  });
}

TEST(Check, ErrorsOfExpandedInstructions) {
  CheckAll({
      {"FROM a\nENV b=${c", "ERR failed to process \"${c\": syntax error: missing '}'\n"},
      {"FROM a\nENV b=${c:?no}", "ERR failed to process \"${c:?no}\": c: no\n"},
      {"FROM a\nSTOPSIGNAL x", "ERR invalid signal: x\n"},
      {"FROM a\nSTOPSIGNAL SIGRTMIN+3", ""},
      {"FROM a\nEXPOSE x", "ERR invalid containerPort: x\n"},
      {"FROM a\nEXPOSE 80/x", "ERR invalid port: \"80/x\": invalid proto: x\n"},
      {"FROM a\nEXPOSE 90-80", "ERR invalid containerPort: 90-80\n"},
      {"FROM a\nEXPOSE 70000", "ERR invalid containerPort: 70000\n"},
      {"FROM a\nCOPY --chmod=8 b /",
       "ERR invalid chmod parameter: '8'. it should be octal string and between 0 and 07777\n"},
      {"FROM a\nCOPY --chmod=17777 b /",
       "ERR invalid chmod parameter: '17777'. it should be octal string and between 0 and 07777\n"},
      {"FROM a\nCOPY --chmod=u=rwX,go+r-w b /", ""},
      {"FROM a\nCOPY --chmod=u=q b /", "ERR invalid syntax\n"},
      {"FROM a\nCOPY https://b/c /", "ERR source can't be a URL for COPY\n"},
      {"FROM a\nCOPY git@b.c:d/e.git /", "ERR source can't be a git ref for COPY\n"},
      {"FROM a\nADD --checksum=sha256:x b /", "ERR checksum requires HTTP(S) or Git sources\n"},
      {"FROM a\nRUN --mount=type=tmpfs b", "ERR invalid mount target \"/\"\n"},
      {"FROM a\nRUN --mount=type=tmpfs,target=/ b", "ERR invalid mount target \"/\"\n"},
      {"FROM a\nARG T=cache\nRUN --mount=type=$T,target=/x b", ""},
  });
  // A few lines must not make a world of memory.
  std::string bomb = "FROM a\nENV a=xxxxxxxxxx\n";
  for (int i = 0; i < 40; ++i) bomb += "ENV a=$a$a\n";
  EXPECT_NE(Check(bomb).find("longer than 1 MiB"), std::string::npos);
}

TEST(Check, StagesOfOtherStages) {
  CheckAll({
      {"FROM a AS b\nFROM b\nCOPY --from=b x /\nCOPY --from=0 x /\nCOPY --from=B x /", ""},
      {"FROM a\nCOPY --from=debian:12 x /", ""},
      {"FROM a\nCOPY --from=7 x /", "ERR invalid stage index 7\n"},
      {"FROM a\nCOPY --from=-1 x /", "ERR invalid stage index -1\n"},
      {"FROM a AS b\nCOPY --from=b x /", "ERR circular dependency detected on stage: b\n"},
      {"FROM a\nCOPY --from=0 x /", "ERR circular dependency detected on stage: stage-0\n"},
      {"FROM a AS b\nCOPY --from=c x /\nFROM a AS c\nCOPY --from=b x /",
       "ERR circular dependency detected on stage: b\n"},
      {"FROM a AS b\nCOPY --from=c x /\nFROM a AS c",
       "ERR cannot copy from stage \"c\", it needs to be defined before current stage \"b\"\n"},
      {"FROM a AS b\nRUN --mount=from=c,target=/d x\nFROM a AS c",
       "ERR cannot mount from stage \"c\" to \"/d\", stage needs to be defined before current "
       "command\n"},
      {"FROM a AS b\nCOPY --from=c x /\nFROM b AS c",
       "ERR cannot copy from stage \"c\", it needs to be defined before current stage \"b\"\n"},
      {"FROM a AS b\nFROM a\nCOPY --from=$b x /",
       "ERR variable expansion is not supported for --from, define a new stage with FROM using ARG "
       "from global scope as a workaround\n"},
      {"FROM Upper",
       "InvalidDefaultArgInFrom@1: Default value for ARG Upper results in empty or invalid base "
       "image name\nERR failed to parse stage name \"Upper\": invalid reference format: repository "
       "name (library/Upper) must be lowercase\n"},
      {"FROM a AS b\nONBUILD COPY $x /\nFROM b",
       "UndefinedVar@3: Usage of undefined variable '$x'\n"},
  });
}

TEST(Check, ATargetLeavesOtherStagesAlone) {
  const std::string text = "FROM a AS b\nRUN c\nFROM a AS d\nSTOPSIGNAL x\nFROM b AS e\nRUN f";
  BuildOptions options;
  EXPECT_EQ(Check(text, options), "ERR invalid signal: x\n");
  options.target = "E";
  EXPECT_EQ(Check(text, options), "");
  options.target = "dd";
  EXPECT_EQ(Check(text, options), "ERR target stage \"dd\" could not be found (did you mean d?)\n");
}

TEST(StageGraph, MarksWhatTheTargetNeeds) {
  const auto needed = [](const std::string& text, const BuildOptions& options) {
    Linter linter{LintOptions()};
    Dockerfile file = ReadInstructions(ParseDockerfile(text)->root, nullptr).value();
    std::string out;
    const StageGraph graph = StageGraph::Create(std::move(file), '\\', options, linter).value();
    for (const StageNode& node : graph.stages()) {
      if (node.needed) out += node.title + " ";
    }
    return out;
  };
  EXPECT_EQ(needed("FROM a AS x\nFROM a AS y\nFROM x\nCOPY --from=a b /", {}), "x stage-2 ");
  EXPECT_EQ(needed("FROM a AS x\nFROM a AS y\nFROM a\nRUN --mount=from=y,target=/b c", {}),
            "y stage-2 ");
  EXPECT_EQ(needed("FROM a AS x\nFROM a AS y\nONBUILD COPY --from=x b /\nFROM y", {}),
            "x y stage-2 ");
  BuildOptions options;
  options.contexts = {"x"};
  EXPECT_EQ(needed("FROM a AS z\nFROM z AS x\nFROM x", options), "x stage-2 ");
  options.contexts.clear();
  options.base_image = [](const std::string& name) {
    BaseImage image;
    if (name == "docker.io/library/a:latest") image.on_build = {"COPY --from=x b /"};
    return std::optional<BaseImage>(image);
  };
  EXPECT_EQ(needed("FROM q AS x\nFROM q AS y\nFROM a", options), "x stage-2 ");
}

TEST(Check, KnowsTheConfigOfABase) {
  BuildOptions options;
  options.base_image = [](const std::string&) {
    BaseImage image;
    image.env = {"GOPATH=/go"};
    image.shell = {"/bin/bash", "-c"};
    return std::optional<BaseImage>(image);
  };
  EXPECT_EQ(Check("FROM a\nCOPY x $GOPATH\nCMD b", options), "");
}

TEST(Check, NamesOfContextsHaveNoCase) {
  BuildOptions options;
  options.contexts = {"other"};
  EXPECT_EQ(Check("FROM scratch\nCOPY --from=OTHER x /", options), "");
  EXPECT_EQ(Check("FROM scratch\nCOPY --from=None x /", {}).substr(0, 4), "ERR ");
}

TEST(Check, PlatformOfABase) {
  const auto check = [](const std::string& text, bool layers = true) {
    BuildOptions options;
    options.platform = {"linux", "amd64", ""};
    options.base_image = [&](const std::string&) {
      BaseImage image;
      image.config = R"({"os":"linux","architecture":"arm64","variant":"v8",
                            "rootfs":{"type":"layers","diff_ids":[]}})";
      if (layers) image.layers.emplace_back(Digest::Of("layer"));
      return std::optional<BaseImage>(image);
    };
    return Check(text, options);
  };
  EXPECT_EQ(check("ARG b=a\nFROM $b"),
            "InvalidBaseImagePlatform@2: Base image a was pulled with platform \"linux/arm64\", "
            "expected \"linux/amd64\" for current build\n");
  EXPECT_EQ(check("# check=skip=InvalidBaseImagePlatform\nFROM a"), "");
  EXPECT_EQ(check("FROM --platform=linux/arm64 a AS arm64"), "");
  EXPECT_EQ(check("FROM a", false), "") << "there is nothing that runs";
  EXPECT_EQ(check("FROM a AS x\nFROM scratch"), "") << "it is not needed";
}

TEST(Check, FilesThatTheContextLeavesOut) {
  const auto check = [](const std::string& line, const std::string& ignore) {
    return Check("FROM a AS s\nFROM a\n" + line, {}, ignore);
  };
  EXPECT_EQ(check("COPY ./x/y /", "x"),
            "CopyIgnoredFile@3: Attempting to Copy file \"x/y\" that is excluded by "
            ".dockerignore\n");
  EXPECT_EQ(check("ADD x /", "x"),
            "CopyIgnoredFile@3: Attempting to Add file \"x\" that is excluded by .dockerignore\n");
  EXPECT_EQ(check("COPY x /", "*\n!x"), "");
  EXPECT_EQ(check("COPY --from=s x /", "x"), "");
  EXPECT_EQ(check("COPY . /", "x*"), "");
  EXPECT_EQ(check("COPY . /", "**"),
            "CopyIgnoredFile@3: Attempting to Copy file \".\" that is excluded by "
            ".dockerignore\n");
  EXPECT_EQ(check("COPY x /", "["), "ERR syntax error in pattern\n");
}

TEST(Check, SkipsWhatItIsTold) {
  CheckAll({
      {"# check=skip=JSONArgsRecommended\nFROM a AS B\nCMD c",
       "StageNameCasing@2: Stage name 'B' should be lowercase\n"},
      {"# check=skip=all\nFROM a AS B\nCMD c", ""},
      {"# check=skip=JSONArgsRecommended,StageNameCasing\nFROM a AS B\nCMD c", ""},
      {"# check=error=true\nFROM a AS B\nCMD c",
       "StageNameCasing@2: Stage name 'B' should be lowercase\n"
       "JSONArgsRecommended@3: JSON arguments recommended for CMD to prevent unintended behavior "
       "related to OS signals\n"
       "ERR lint violation found for rules: JSONArgsRecommended, StageNameCasing\n"},
      {"# check=skip=StageNameCasing;error=true\nFROM a AS B", ""},
      {"# check=x\nFROM a", "ERR failed to parse check options: invalid check option \"x\"\n"},
      {"# check=x=y\nFROM a", "ERR failed to parse check options: invalid check option \"x\"\n"},
      {"FROM a\n# check=skip=JSONArgsRecommended\nCMD c", ""},
      {"# a b\nFROM a AS c", ""},
      {"# check=experimental=all\n# a b\nFROM a AS c",
       "InvalidDefinitionDescription@3: Comment for FROM should follow the format: `# c "
       "<description>`\n"},
      {"# check=experimental=InvalidDefinitionDescription\n# x b\nARG c d\nFROM a",
       "InvalidDefinitionDescription@3: Comment for ARG should follow the format: `# <arg_key> "
       "<description>`\n"},
      {"# check=experimental=all\n# c b\nFROM a AS c", ""},
  });
}

TEST(Check, PrintsAsDockerDoes) {
  const std::string text = "FROM a AS B\nRUN b\nRUN c\nRUN d\nRUN e\nRUN f\nCMD g\n";
  EXPECT_EQ(FormatWarnings("Dockerfile", text, CheckDockerfile(text, "", {})),
            "Check complete, 2 warnings have been found!\n"
            "\n"
            "WARNING: StageNameCasing - "
            "https://docs.docker.com/go/dockerfile/rule/stage-name-casing/\n"
            "Stage name 'B' should be lowercase\n"
            "Dockerfile:1\n"
            "--------------------\n"
            "   1 | >>> FROM a AS B\n"
            "   2 |     RUN b\n"
            "   3 |     RUN c\n"
            "--------------------\n"
            "\n"
            "WARNING: JSONArgsRecommended - "
            "https://docs.docker.com/go/dockerfile/rule/json-args-recommended/\n"
            "JSON arguments recommended for CMD to prevent unintended behavior related to OS "
            "signals\n"
            "Dockerfile:7\n"
            "--------------------\n"
            "   5 |     RUN e\n"
            "   6 |     RUN f\n"
            "   7 | >>> CMD g\n"
            "   8 |     \n"
            "--------------------\n");
  EXPECT_EQ(FormatWarnings("Dockerfile", "FROM a", CheckDockerfile("FROM a", "", {})),
            "Check complete, no warnings found.\n");
}

}  // namespace
}  // namespace veneer::build
