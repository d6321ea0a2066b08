// commit -c and import -c; the expected configs and errors are dockerd's own.
#include "tools/change_instruction.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace veneer::tools {
namespace {

using Changes = std::vector<std::string>;

// The config after `changes` as JSON, or the error.
std::string Apply(const Changes& changes, const std::string& config = "{}") {
  Json json = Json::parse(config);
  const Json before = json;
  const Result<> done = ApplyChanges(changes, json);
  if (done) return json.dump();
  EXPECT_EQ(json, before) << "an error changed the config";
  EXPECT_EQ(done.error().Message().find('\n'), std::string::npos);
  return "ERR " + done.error().Message();
}

struct Case {
  Changes changes;
  std::string want;
};

void Check(const std::vector<Case>& cases) {
  for (const Case& c : cases) EXPECT_EQ(Apply(c.changes), c.want) << c.changes.front();
}

TEST(ChangeInstruction, CommandsTakeExecAndShellForm) {
  Check({
      {{R"(CMD ["a","b"])"}, R"({"Cmd":["a","b"]})"},
      {{"CMD a b"}, R"({"Cmd":["/bin/sh","-c","a b"]})"},
      {{"cmd a  b"}, R"({"Cmd":["/bin/sh","-c","a  b"]})"},
      {{R"(CMD [ "a" , "b" ])"}, R"({"Cmd":["a","b"]})"},
      {{"CMD ['a']"}, R"({"Cmd":["/bin/sh","-c","['a']"]})"},
      {{R"(CMD ["a")"}, R"({"Cmd":["/bin/sh","-c","[\"a\""]})"},
      {{R"(CMD ["a"] x)"}, R"({"Cmd":["a"]})"},
      {{R"(CMD "a b")"}, R"({"Cmd":["/bin/sh","-c","\"a b\""]})"},
      {{"CMD $x"}, R"({"Cmd":["/bin/sh","-c","$x"]})"},
      {{"CMD []"}, R"({"Cmd":[]})"},
      {{R"(ENTRYPOINT ["a","\u00e9"])"}, R"({"Entrypoint":["a","é"]})"},
      {{"ENTRYPOINT x y"}, R"({"Entrypoint":["/bin/sh","-c","x y"]})"},
      {{"CMD a", "CMD b"}, R"({"Cmd":["/bin/sh","-c","b"]})"},
      {{R"(CMD ["a", 1])"},
       "ERR when using JSON array syntax, arrays must be comprised of strings only"},
  });
  EXPECT_EQ(Apply({"CMD a"}, R"({"Shell":["/bin/bash","-ec"]})"),
            R"({"Shell":["/bin/bash","-ec"],"Cmd":["/bin/bash","-ec","a"]})");
}

TEST(ChangeInstruction, EntrypointDropsACmdNobodySetAlongWithIt) {
  const std::string image = R"({"Cmd":["c"],"Entrypoint":["e"]})";
  EXPECT_EQ(Apply({R"(ENTRYPOINT ["n"])"}, image), R"({"Entrypoint":["n"]})");
  EXPECT_EQ(Apply({R"(ENTRYPOINT ["n"])", R"(CMD ["q"])"}, image),
            R"({"Entrypoint":["n"],"Cmd":["q"]})");
  EXPECT_EQ(Apply({R"(CMD ["q"])", R"(ENTRYPOINT ["n"])"}, image),
            R"({"Cmd":["q"],"Entrypoint":["n"]})");
  EXPECT_EQ(Apply({R"(CMD ["q"])"}, image), R"({"Cmd":["q"],"Entrypoint":["e"]})");
  EXPECT_EQ(Apply({"ENTRYPOINT"}, image), "{}");
}

TEST(ChangeInstruction, EnvTakesQuotesVariablesAndTheOldForm) {
  Check({
      {{R"(ENV a=b c="d e" f='g h' i=j\ k)"}, R"({"Env":["a=b","c=d e","f=g h","i=j k"]})"},
      {{"ENV a b c"}, R"({"Env":["a=b c"]})"},
      {{"ENV a=1", R"(ENV b=$a c=${a} d=${z:-q} e=\$a f='$a' g="$a")"},
       R"({"Env":["a=1","b=1","c=1","d=q","e=$a","f=$a","g=1"]})"},
      {{"ENV a=1 a=2"}, R"({"Env":["a=2"]})"},
      {{"ENV a=1 b=$a"}, R"({"Env":["a=1","b="]})"},
      {{"ENV a="}, R"({"Env":["a="]})"},
      {{R"(ENV "a b"=c)"}, R"({"Env":["a b=c"]})"},
      {{"ENV a=1", "ENV x=${a:+s} y=${b:+s} z=${a-t} w=${b-t}"},
       R"({"Env":["a=1","x=s","y=","z=1","w=t"]})"},
      {{"ENV a=${b:-${c:-deep}}"}, R"({"Env":["a=deep"]})"},
      {{"ENV a=$1x$@y$-"}, R"({"Env":["a=xy"]})"},
      {{"ENV a=x$"}, R"({"Env":["a=x$"]})"},
      {{R"(ENV a="\a\\\"")"}, R"({"Env":["a=\\a\\\""]})"},
      {{R"(ENV a='\a')"}, R"({"Env":["a=\\a"]})"},
      {{R"(ENV a=\a)"}, R"({"Env":["a=a"]})"},
      {{"ENV a=b\\", "c"}, R"({"Env":["a=bc"]})"},
      {{"ENV"}, "ERR ENV requires at least one argument"},
      {{"ENV a"}, "ERR ENV must have two arguments"},
      {{"ENV a=b c"}, "ERR syntax error: can't find = in \"c\": must be of the form name=value"},
      {{"ENV =b"}, "ERR ENV names can not be blank"},
      {{R"(ENV a="b)"},
       R"(ERR failed to process "\"b": unexpected end of statement while looking for matching double-quote)"},
      {{"ENV a='b"},
       "ERR failed to process \"'b\": unexpected end of statement while looking for matching "
       "single-quote"},
      {{"ENV a=${b"}, "ERR failed to process \"${b\": syntax error: missing '}'"},
      {{"ENV a=${}"}, "ERR failed to process \"${}\": syntax error: bad substitution"},
      {{"ENV a=${b:?x}"}, "ERR failed to process \"${b:?x}\": b: x"},
      {{"ENV a=${b%x}"},
       "ERR failed to process \"${b%x}\": unsupported modifier (%) in substitution"},
  });
  EXPECT_EQ(Apply({"ENV C=$A B=9"}, R"({"Env":["A=1","B=2"]})"), R"({"Env":["A=1","B=9","C=1"]})");
  EXPECT_EQ(Apply({"ENV PATH=$PATH:/x"}, R"({"Env":["PATH=/bin"]})"),
            R"({"Env":["PATH=/bin:/x"]})");
}

TEST(ChangeInstruction, LabelTakesQuotes) {
  Check({
      {{R"(LABEL a=b "c d"="e f")"}, R"({"Labels":{"a":"b","c d":"e f"}})"},
      {{"LABEL a b c"}, R"({"Labels":{"a":"b c"}})"},
      {{R"(LABEL a="x\"y" b='p q')"}, R"({"Labels":{"a":"x\"y","b":"p q"}})"},
      {{"LABEL a=$PATH"}, R"({"Labels":{"a":""}})"},
      {{"LABEL"}, "ERR LABEL requires at least one argument"},
      {{"LABEL a"}, "ERR LABEL must have two arguments"},
      {{"LABEL =x"}, "ERR LABEL names can not be blank"},
  });
  EXPECT_EQ(Apply({"LABEL l=2 z=1"}, R"({"Labels":{"l":"1","m":"2"}})"),
            R"({"Labels":{"l":"2","m":"2","z":"1"}})");
  EXPECT_EQ(Apply({"LABEL l=2"}, R"({"Labels":null})"), R"({"Labels":{"l":"2"}})");
}

TEST(ChangeInstruction, ExposeTakesRangesAndProtocols) {
  Check({
      {{"EXPOSE 80"}, R"({"ExposedPorts":{"80/tcp":{}}})"},
      {{"EXPOSE 80/udp 443/tcp 80/SCTP 80/"},
       R"({"ExposedPorts":{"80/udp":{},"443/tcp":{},"80/sctp":{},"80/tcp":{}}})"},
      {{"EXPOSE 8000-8002/udp"}, R"({"ExposedPorts":{"8000/udp":{},"8001/udp":{},"8002/udp":{}}})"},
      {{"EXPOSE 65535 0 080"}, R"({"ExposedPorts":{"65535/tcp":{},"0/tcp":{},"80/tcp":{}}})"},
      {{"EXPOSE 8080:80 127.0.0.1:81:82"}, R"({"ExposedPorts":{"80/tcp":{},"82/tcp":{}}})"},
      {{"ENV P=\"1 2\"", "EXPOSE $P"},
       R"({"Env":["P=1 2"],"ExposedPorts":{"1/tcp":{},"2/tcp":{}}})"},
      {{"EXPOSE $NONE"}, "{}"},
      {{"EXPOSE"}, "ERR EXPOSE requires at least one argument"},
      {{"EXPOSE x"}, "ERR invalid containerPort: x"},
      {{"EXPOSE 99999"}, "ERR invalid containerPort: 99999"},
      {{"EXPOSE 90-80"}, "ERR invalid containerPort: 90-80"},
      {{"EXPOSE -1"}, "ERR invalid containerPort: -1"},
      {{"EXPOSE 80/foo"}, "ERR invalid proto: foo"},
      {{"EXPOSE x:80"}, "ERR invalid hostPort: x"},
  });
}

TEST(ChangeInstruction, OnBuildKeepsTheTriggerAsWritten) {
  Check({
      {{"ONBUILD RUN echo hi"}, R"({"OnBuild":["RUN echo hi"]})"},
      {{"onbuild copy a b"}, R"({"OnBuild":["copy a b"]})"},
      {{"ONBUILD   RUN   echo   x"}, R"({"OnBuild":["RUN   echo   x"]})"},
      {{"ONBUILD"}, "ERR ONBUILD requires at least one argument"},
      {{"ONBUILD ONBUILD RUN x"}, "ERR Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed"},
      {{"ONBUILD FROM x"}, "ERR FROM isn't allowed as an ONBUILD trigger"},
      {{"ONBUILD maintainer x"}, "ERR MAINTAINER isn't allowed as an ONBUILD trigger"},
  });
}

TEST(ChangeInstruction, StopSignalUserVolumeAndWorkdir) {
  Check({
      {{"STOPSIGNAL SIGTERM"}, R"({"StopSignal":"SIGTERM"})"},
      {{"STOPSIGNAL 9"}, R"({"StopSignal":"9"})"},
      {{"STOPSIGNAL SIGRTMIN+3"}, R"({"StopSignal":"SIGRTMIN+3"})"},
      {{"ENV s=TERM", "STOPSIGNAL SIG$s"}, R"({"Env":["s=TERM"],"StopSignal":"SIGTERM"})"},
      {{"STOPSIGNAL foo"}, "ERR invalid signal: foo"},
      {{"STOPSIGNAL 0"}, "ERR invalid signal: 0"},
      {{"STOPSIGNAL RTMIN+99"}, "ERR invalid signal: RTMIN+99"},
      {{"STOPSIGNAL"}, "ERR STOPSIGNAL requires exactly one argument"},
      {{"USER a:b"}, R"({"User":"a:b"})"},
      {{R"(USER "a")"}, R"({"User":"a"})"},
      {{"USER"}, "ERR USER requires exactly one argument"},
      {{"VOLUME /a /b"}, R"({"Volumes":{"/a":{},"/b":{}}})"},
      {{R"(VOLUME ["/a","/b c"])"}, R"({"Volumes":{"/a":{},"/b c":{}}})"},
      {{"ENV abc=1", "VOLUME $abc /x$abc"}, R"({"Env":["abc=1"],"Volumes":{"1":{},"/x1":{}}})"},
      {{"VOLUME"}, "ERR VOLUME requires at least one argument"},
      {{"VOLUME []"}, "ERR VOLUME requires at least one argument"},
      {{R"(VOLUME [""])"}, "ERR VOLUME specified can not be an empty string"},
      {{"WORKDIR /a"}, R"({"WorkingDir":"/a"})"},
      {{"WORKDIR a b"}, R"({"WorkingDir":"/a b"})"},
      {{"WORKDIR /a", "WORKDIR b/"}, R"({"WorkingDir":"/a/b"})"},
      {{"WORKDIR /a", "WORKDIR ../.."}, R"({"WorkingDir":"/"})"},
      {{"WORKDIR ."}, R"({"WorkingDir":"/"})"},
      {{"WORKDIR $PATH/x"}, R"({"WorkingDir":"/x"})"},
      {{"WORKDIR"}, "ERR WORKDIR requires exactly one argument"},
      {{"WORKDIR $none"}, "ERR cannot normalize nothing"},
  });
  EXPECT_EQ(Apply({"WORKDIR rel"}, R"({"WorkingDir":"/app"})"), R"({"WorkingDir":"/app/rel"})");
}

TEST(ChangeInstruction, RefusesWhatIsNoChange) {
  Check({
      {{"RUN x"}, "ERR run is not a valid change command"},
      {{"FROM x"}, "ERR from is not a valid change command"},
      {{"FOO x"}, "ERR foo is not a valid change command"},
      {{""}, "ERR file with no instructions"},
      {{"# comment"}, "ERR file with no instructions"},
      {{"ENV --foo a=b"}, "ERR unknown flag: foo"},
      {{"USER --x=1 a"}, "ERR unknown flag: x"},
      {{"ENV a=b", "RUN x"}, "ERR run is not a valid change command"},
  });
  EXPECT_EQ(Apply({}, R"({"User":"u"})"), R"({"User":"u"})");
}

TEST(ChangeInstruction, TakesSeveralLinesAndContinuations) {
  Check({
      {{"  CMD a"}, R"({"Cmd":["/bin/sh","-c","a"]})"},
      {{"CMD a \\\n b"}, R"({"Cmd":["/bin/sh","-c","a  b"]})"},
      {{"CMD a\nENV x=y"}, R"({"Cmd":["/bin/sh","-c","a"],"Env":["x=y"]})"},
      {{"ENV a=1 \\\n# comment\n\n  b=2"}, R"({"Env":["a=1","b=2"]})"},
      {{"USER -- --odd"}, R"({"User":"--odd"})"},
  });
}

TEST(ChangeInstruction, SurvivesOddConfigsAndDeepNesting) {
  EXPECT_EQ(Apply({"ENV a=1", "LABEL b=2"}, R"({"Env":"x","Labels":[1]})"),
            R"({"Env":["a=1"],"Labels":{"b":"2"}})");
  EXPECT_EQ(Apply({"USER u"}, "null"), R"({"User":"u"})");
  EXPECT_EQ(Apply({"ENV a=1"}, R"({"Env":[1,"a=0"]})"), R"({"Env":[1,"a=1"]})");
  std::string deep = "ENV a=";
  for (int i = 0; i < 100000; ++i) deep += "${b:-";
  EXPECT_TRUE(Apply({deep}).starts_with("ERR failed to process"));
  EXPECT_TRUE(Apply({"CMD " + std::string(100000, '[')}).starts_with("{\"Cmd\":[\"/bin/sh\""));
}

}  // namespace
}  // namespace veneer::tools
