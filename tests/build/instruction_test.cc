// What instructions say, and BuildKit's words for those that say nothing.
#include "tools/build/language/instruction.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tools/build/language/parser.h"
#include "tools/build/language/run_mount.h"

namespace veneer::build {
namespace {

Located<Dockerfile> Read(const std::string& text) {
  Located<ParsedDockerfile> parsed = ParseDockerfile(text);
  if (!parsed) return std::unexpected(parsed.error());
  return ReadInstructions(parsed->root, nullptr);
}

// The error of one instruction behind "FROM a".
std::string ErrorOf(const std::string& line) {
  const Located<Dockerfile> file = Read("FROM a\n" + line);
  if (file) return "none";
  EXPECT_EQ(file.error().places.size(), 1U) << line;
  const std::string prefix = "dockerfile parse error on line 2: ";
  EXPECT_TRUE(file.error().message.starts_with(prefix)) << file.error().message;
  return file.error().message.substr(prefix.size());
}

// The body of one instruction behind "FROM a".
template <typename T>
T Body(const std::string& text) {
  const Located<Dockerfile> file = Read("FROM a\n" + text);
  EXPECT_TRUE(file) << (file ? "" : file.error().message);
  return file ? std::get<T>(file->stages[0].instructions[0].body) : T();
}

struct Case {
  std::string line;
  std::string want;
};

TEST(Instruction, ErrorsAreBuildKits) {
  const std::vector<Case> cases = {
      {"FRO x", "unknown instruction: FRO (did you mean FROM?)"},
      {"coppy x", "unknown instruction: coppy (did you mean copy?)"},
      {"WHATEVER x", "unknown instruction: WHATEVER"},
      {"FROM a b", "FROM requires either one or three arguments"},
      {"FROM a AS", "FROM requires either one or three arguments"},
      {"FROM a is b", "FROM requires either one or three arguments"},
      {"FROM a AS 1b",
       "invalid name for build stage: \"1b\", name can't start with a number or contain symbols"},
      {"FROM a AS b/c",
       "invalid name for build stage: \"b/c\", name can't start with a number or contain symbols"},
      {"FROM --plattform=x a", "unknown flag: --plattform (did you mean platform?)"},
      {"ENV", "ENV requires at least one argument"},
      {"ENV =a", "ENV names can not be blank"},
      {"LABEL", "LABEL requires at least one argument"},
      {"ARG", "ARG requires at least one argument"},
      {"ARG =a", "ARG names can not be blank"},
      {"MAINTAINER", "MAINTAINER requires exactly one argument"},
      {"WORKDIR", "WORKDIR requires exactly one argument"},
      {"USER", "USER requires exactly one argument"},
      {"STOPSIGNAL", "STOPSIGNAL requires exactly one argument"},
      {"EXPOSE", "EXPOSE requires at least one argument"},
      {"VOLUME", "VOLUME requires at least one argument"},
      {R"(VOLUME ["/a", " "])", "VOLUME specified can not be an empty string"},
      {"SHELL sh -c", "SHELL requires the arguments to be in JSON form"},
      {"SHELL []", "SHELL requires at least one argument"},
      {"COPY a",
       "COPY requires at least two arguments, but only one was provided. Destination could not be "
       "determined"},
      {"ADD",
       "ADD requires at least two arguments, but only one was provided. Destination could not be "
       "determined"},
      {"COPY --frm=a b c", "unknown flag: --frm (did you mean from?)"},
      {"COPY --from=a --from=b c d", "duplicate flag specified: --from"},
      {"COPY --from c d", "missing a value on flag: --from"},
      {"COPY --link=maybe a b", "expecting boolean value for flag --link, not: maybe"},
      {"COPY --link= a b", "missing a value on flag: --link"},
      {"COPY --checksum=x a b", "unknown flag: --checksum"},
      {"ADD --from=x a b", "unknown flag: --from"},
      {"ADD --parents a b", "unknown flag: --parents"},
      {"COPY a <<E\nx\nE", "COPY cannot accept a heredoc as a destination"},
      {"RUN --network=x a", "invalid network mode \"x\""},
      {"RUN --security=x a", "security \"x\" is not valid"},
      {"RUN --mount=type=bind,from=$a,target=/x a",
       "'from' doesn't support variable expansion, define alias stage instead"},
      {"RUN --mount= a", "failed to parse csv mounts: EOF"},
      {"RUN --mont=type=bind a", "unknown flag: --mont (did you mean mount?)"},
      {"ENV --x a=b", "unknown flag: --x"},
      {"ONBUILD", "ONBUILD requires at least one argument"},
      {"ONBUILD ONBUILD RUN a", "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed"},
      {"ONBUILD from a", "FROM isn't allowed as an ONBUILD trigger"},
      {"ONBUILD MAINTAINER a", "MAINTAINER isn't allowed as an ONBUILD trigger"},
      {"HEALTHCHECK", "HEALTHCHECK requires at least one argument"},
      {"HEALTHCHECK NONE a", "HEALTHCHECK NONE takes no arguments"},
      {"HEALTHCHECK CMD", "Missing command after HEALTHCHECK CMD"},
      {"HEALTHCHECK foo a", "Unknown type \"FOO\" in HEALTHCHECK (try CMD)"},
      {"HEALTHCHECK --interval=5 CMD a", "time: missing unit in duration \"5\""},
      {"HEALTHCHECK --interval=x CMD a", "time: invalid duration \"x\""},
      {"HEALTHCHECK --interval=5d CMD a", "time: unknown unit \"d\" in duration \"5d\""},
      {"HEALTHCHECK --timeout=1us CMD a", "Interval \"timeout\" cannot be less than 1ms"},
      {"HEALTHCHECK --retries=x CMD a", "strconv.ParseInt: parsing \"x\": invalid syntax"},
      {"HEALTHCHECK --retries=99999999999 CMD a",
       "strconv.ParseInt: parsing \"99999999999\": value out of range"},
      {"HEALTHCHECK --retries=-1 CMD a", "--retries cannot be negative (-1)"},
      // Flags that BuildKit does not look at.
      {"ARG --x a", "none"},
      {"STOPSIGNAL --x 9", "none"},
      {"HEALTHCHECK --x=y NONE", "none"},
      {"COPY -- --a b", "none"},
  };
  for (const Case& c : cases) EXPECT_EQ(ErrorOf(c.line), c.want) << c.line;
}

TEST(Instruction, FilesNeedAStage) {
  EXPECT_EQ(Read("ARG a\nRUN b\nFROM c").error().message, "no build stage in current context");
  EXPECT_EQ(Read("ARG a").error().message, "dockerfile contains no stages to build");
  const Dockerfile file = Read("ARG a\nARG b=c\nFROM x AS Y\nRUN z\nFROM y").value();
  EXPECT_EQ(file.global_args.size(), 2U);
  EXPECT_EQ(file.stages.size(), 2U);
  EXPECT_EQ(file.stages[0].name, "y");
  EXPECT_EQ(file.stages[0].instructions[0].lines, (Lines{4, 4}));
  EXPECT_EQ(file.stages[1].base, "y");
}

TEST(Instruction, CommandsAreWordsOrOneText) {
  EXPECT_EQ(Body<CmdInstruction>("CMD a  b").command.words, std::vector<std::string>{"a  b"});
  EXPECT_TRUE(Body<CmdInstruction>("CMD a  b").command.shell);
  EXPECT_EQ(Body<CmdInstruction>(R"(CMD ["a", "b"])").command.words,
            (std::vector<std::string>{"a", "b"}));
  EXPECT_FALSE(Body<CmdInstruction>("CMD []").command.shell);
  EXPECT_TRUE(Body<EntrypointInstruction>("ENTRYPOINT").command.words.empty());
  const auto run = Body<RunInstruction>("RUN --network=none --mount=from=b,target=/c sh <<E\nx\nE");
  EXPECT_EQ(run.network, "none");
  EXPECT_EQ(run.security, "sandbox");
  EXPECT_EQ(run.mount_sources, std::vector<std::string>{"b"});
  EXPECT_EQ(run.heredocs.front().content, "x\n");
}

TEST(Instruction, HealthcheckHasAllItsTimes) {
  const auto check = Body<HealthcheckInstruction>(
      "HEALTHCHECK --interval=1m30s --timeout=2.5s --start-period=1h --start-interval=500ms "
      "--retries=4 CMD a b");
  EXPECT_EQ(check.interval, std::chrono::seconds(90));
  EXPECT_EQ(check.timeout, std::chrono::milliseconds(2500));
  EXPECT_EQ(check.start_period, std::chrono::hours(1));
  EXPECT_EQ(check.start_interval, std::chrono::milliseconds(500));
  EXPECT_EQ(check.retries, 4);
  EXPECT_EQ(check.test, (std::vector<std::string>{"CMD-SHELL", "a b"}));
  EXPECT_EQ(Body<HealthcheckInstruction>(R"(HEALTHCHECK cmd ["a"])").test,
            (std::vector<std::string>{"CMD", "a"}));
  EXPECT_EQ(Body<HealthcheckInstruction>("HEALTHCHECK --interval=0 CMD a").interval.count(), 0);
}

TEST(Instruction, CopyTakesHeredocsForFiles) {
  const auto copy = Body<CopyInstruction>(
      "COPY --parents --exclude=a --exclude=b x <<-A <<'B' /d\n\t1\n\tA\n\t2\nB");
  EXPECT_EQ(copy.sources, std::vector<std::string>{"x"});
  EXPECT_EQ(copy.destination, "/d");
  EXPECT_EQ(copy.exclude, (std::vector<std::string>{"a", "b"}));
  EXPECT_TRUE(copy.parents);
  EXPECT_FALSE(copy.link);
  ASSERT_EQ(copy.heredocs.size(), 2U);
  EXPECT_EQ(copy.heredocs[0].content, "1\n");
  EXPECT_TRUE(copy.heredocs[0].expand);
  EXPECT_EQ(copy.heredocs[1].content, "\t2\n");
  EXPECT_FALSE(copy.heredocs[1].expand);
  const auto add = Body<AddInstruction>("ADD --keep-git-dir=false --unpack a b");
  EXPECT_EQ(add.keep_git_dir, false);
  EXPECT_EQ(add.unpack, true);
}

TEST(Instruction, OthersKeepTheirArguments) {
  EXPECT_EQ(Body<ExposeInstruction>("EXPOSE 90 80/udp").ports,
            (std::vector<std::string>{"80/udp", "90"}));
  EXPECT_EQ(Body<VolumeInstruction>("VOLUME /b /a").paths, (std::vector<std::string>{"/b", "/a"}));
  EXPECT_EQ(Body<OnbuildInstruction>("onbuild  COPY <<E /\nx\nE").expression, "COPY <<E /\nx\nE");
  const auto arg = Body<ArgInstruction>("# b what it is\nARG a b=c d=");
  EXPECT_FALSE(arg.args[0].value);
  EXPECT_EQ(arg.args[1].value, "c");
  EXPECT_EQ(arg.args[1].description, "what it is");
  EXPECT_EQ(arg.args[2].value, "");
  EXPECT_TRUE(Body<EnvInstruction>("ENV a b").variables[0].legacy);
  EXPECT_FALSE(Body<EnvInstruction>("ENV a=b").variables[0].legacy);
}

std::string MountError(const std::string& text) {
  const Result<RunMount> mount =
      ParseRunMount(text, [](std::string_view word) { return std::string(word); });
  return mount ? "none" : mount.error().Message();
}

TEST(RunMount, ErrorsAreBuildKits) {
  const std::vector<Case> cases = {
      {"type=bnd", "unsupported mount type \"bnd\" (did you mean bind?)"},
      {"type=volume", "unsupported mount type \"volume\""},
      {"type=bind,taget=/x", "unexpected key 'taget' in 'taget=/x' (did you mean target?)"},
      {"type=bind,foo", "invalid field 'foo' must be a key=value pair"},
      {"type=bind,size=1", "unexpected key 'size' for mount type 'bind'"},
      {"type=tmpfs,size=x", "invalid value for size: x"},
      {"type=cache,sharing=lock", "unsupported sharing value \"lock\" (did you mean locked?)"},
      {"type=bind,sharing=locked", "invalid cache sharing set for bind mount"},
      {"type=cache,mode=9", "invalid value 9 for mode"},
      {"type=cache,uid=-1", "invalid value -1 for uid"},
      {"type=bind,uid=1", "uid not allowed for \"bind\" type mounts"},
      {"type=tmpfs,mode=1", "mode not allowed for \"tmpfs\" type mounts"},
      {"type=secret", "invalid secret mount. one of source, target required"},
      {"type=secret,id=a,source=b", "both source and id can't be set"},
      {"type=secret,id=a,from=b", "secret mount should not have a from"},
      {"type=secret,id=a,sharing=shared", "secret mount should not define sharing"},
      {"type=bind,required", "unexpected key 'required' for mount type 'bind'"},
      {"required,type=secret,id=a", "unexpected key 'required' for mount type 'bind'"},
      {"type=bind,ro=maybe", "invalid value for ro: maybe"},
      {"type=bind,a\"b",
       "failed to parse csv mounts: parse error on line 1, column 12: bare \" in non-quoted-field"},
      {"\"type=bind",
       "failed to parse csv mounts: parse error on line 1, column 11: extraneous or missing \" in "
       "quoted-field"},
      {"type=ssh,required", "none"},
      {"type=secret,id=a,env=B,required=true", "none"},
      {"TYPE=Cache,target=/x", "none"},
  };
  for (const Case& c : cases) EXPECT_EQ(MountError(c.line), c.want) << c.line;
}

TEST(RunMount, DefaultsDependOnTheType) {
  const auto parse = [](const std::string& text) {
    return ParseRunMount(text, [](std::string_view word) { return std::string(word); }).value();
  };
  EXPECT_TRUE(parse("target=/x").read_only);
  EXPECT_FALSE(parse("target=/x,rw").read_only);
  EXPECT_FALSE(parse("target=/x,readonly=false").read_only);
  EXPECT_FALSE(parse("type=cache,target=/x").read_only);
  EXPECT_TRUE(parse("type=cache,target=/x,ro").read_only);
  EXPECT_EQ(parse("type=tmpfs,target=/x,size=1.5k").size_limit, 1536);
  EXPECT_EQ(parse("type=cache,mode=0750,dst=/x").mode, 0750U);
  EXPECT_EQ(parse("\"source=a,b\",\"target=/\"\"x\"").source, "a,b");
  EXPECT_EQ(parse("\"source=a,b\",\"target=/\"\"x\"").target, "/\"x");
}

}  // namespace
}  // namespace veneer::build
