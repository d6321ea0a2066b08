#include "tools/build/log/build_log.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "store/base/beneath.h"
#include "store/base/unique_fd.h"
#include "tools/build/log/plain_log.h"
#include "tools/build/log/rawjson_log.h"
#include "tools/build/log/tty_frame.h"
#include "tools/build/log/tty_log.h"
#include "tools/build/log/vertex_log.h"

namespace veneer::build {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;
using ::testing::Not;

// A file in memory that a log writes to.
class Paper {
 public:
  Paper() : fd_(memfd_create("log", MFD_CLOEXEC)) {}
  int fd() const { return fd_.get(); }
  std::string Text() const {
    std::string text(1 << 20, '\0');
    const ssize_t size = pread(fd_.get(), text.data(), text.size(), 0);
    text.resize(size > 0 ? static_cast<size_t>(size) : 0);
    return text;
  }

 private:
  UniqueFd fd_;
};

// A clock that tests move.
class BuildLogTest : public ::testing::Test {
 protected:
  LogClock Clock() {
    return [this] { return now_; };
  }
  void Pass(milliseconds time) { now_ += time; }

  Paper paper_;
  LogTime now_ = seconds(1'700'000'000);
};

class PlainLogTest : public BuildLogTest {
 protected:
  PlainLog log_{paper_.fd(), Clock(), false};
};

TEST_F(PlainLogTest, ShowsOneVertexAfterTheOther) {
  const auto definition = log_.Add("[internal] load build definition from Dockerfile");
  const auto from = log_.Add("[1/3] FROM docker.io/library/debian:12");
  const auto run = log_.Add("[2/3] RUN echo hi");
  const auto copy = log_.Add("[3/3] COPY . /app");
  log_.Start(definition);
  Pass(milliseconds(20));
  log_.Done(definition);
  log_.Cached(from);
  log_.Start(run);
  Pass(milliseconds(79));
  log_.Output(run, "hi\n", false);
  Pass(milliseconds(12'271));
  log_.Output(run, "there\n", true);
  Pass(seconds(100));
  log_.Output(run, "you\n", true);
  log_.Done(run);
  log_.Start(copy);
  log_.Cached(copy);
  log_.Finish();
  EXPECT_EQ(paper_.Text(),
            "#1 [internal] load build definition from Dockerfile\n"
            "#1 DONE 0.0s\n"
            "\n"
            "#2 [1/3] FROM docker.io/library/debian:12\n"
            "#2 CACHED\n"
            "\n"
            "#3 [2/3] RUN echo hi\n"
            "#3 0.079 hi\n"
            "#3 12.35 there\n"
            "#3 112.3 you\n"
            "#3 DONE 112.3s\n"
            "\n"
            "#4 [3/3] COPY . /app\n"
            "#4 CACHED\n");
}

TEST_F(PlainLogTest, AFailureIsShownAgainAtTheEnd) {
  const auto run = log_.Add("[2/2] RUN make\n\tall");
  const auto other = log_.Add("[a 1/1] RUN sleep 9");
  const auto never = log_.Add("[b 1/1] RUN true");
  log_.Start(run);
  for (int i = 1; i <= 12; ++i) log_.Output(run, "line " + std::to_string(i) + "\n", false);
  log_.Output(run, "\x1b[31mred\x1b[0m", false);
  log_.Start(other);
  log_.Failed(run, "process \"/bin/sh -c make\" did not complete successfully: exit code: 2");
  log_.Cancelled(other);
  log_.Cancelled(never);
  log_.Finish();
  std::string text = paper_.Text();
  EXPECT_THAT(text, HasSubstr("#1 [2/2] RUN make  all\n#1 0.000 line 1\n"));
  text = text.substr(text.find("#1 0.000 line 12\n"));
  EXPECT_EQ(text,
            "#1 0.000 line 12\n"
            "#1 0.000 \x1b[31mred\x1b[0m\n"
            "#1 ERROR: process \"/bin/sh -c make\" did not complete successfully: exit code: 2\n"
            "\n"
            "#2 [a 1/1] RUN sleep 9\n"
            "#2 CANCELED\n"
            "------\n"
            " > [2/2] RUN make  all:\n"
            "0.000 line 4\n0.000 line 5\n0.000 line 6\n0.000 line 7\n0.000 line 8\n0.000 line 9\n"
            "0.000 line 10\n0.000 line 11\n0.000 line 12\n0.000 red\n"
            "------\n");
}

TEST_F(PlainLogTest, APartialLineSwallowsNoHeading) {
  const auto one = log_.Add("one");
  const auto two = log_.Add("two");
  log_.Start(one);
  log_.Output(one, "prompt: ", false);
  log_.Output(one, "answer", false);
  log_.Start(two);
  log_.Output(two, "half", false);
  log_.Done(two);
  log_.Output(one, " rest\n", false);
  log_.Done(one);
  EXPECT_EQ(paper_.Text(),
            "#1 one\n"
            "#1 0.000 prompt: answer\n"
            "#1 ...\n"
            "\n"
            "#2 two\n"
            "#2 0.000 half\n"
            "#2 DONE 0.0s\n"
            "\n"
            "#1 one\n"
            "#1 0.000  rest\n"
            "#1 DONE 0.0s\n");
}

TEST_F(PlainLogTest, VertexesThatRunAtOnceComeInGroups) {
  const auto one = log_.Add("one");
  const auto two = log_.Add("two");
  log_.Start(one);
  log_.Start(two);
  for (int i = 0; i < 3; ++i) {
    log_.Output(one, "a\n", false);
    log_.Output(two, "b\n", false);
  }
  EXPECT_THAT(paper_.Text(), Not(HasSubstr("two")));
  Pass(milliseconds(4900));
  log_.Output(two, "b\n", false);
  EXPECT_THAT(paper_.Text(), Not(HasSubstr("two"))) << "its turn has not come";
  Pass(milliseconds(200));
  log_.Tick();
  EXPECT_THAT(paper_.Text(), HasSubstr("#1 0.000 a\n#1 ...\n\n#2 two\n#2 0.000 b\n"));
  EXPECT_THAT(paper_.Text(), HasSubstr("#2 4.900 b\n"));
  log_.Done(one);
  const std::string text = paper_.Text();
  EXPECT_THAT(text, HasSubstr("#2 ...\n\n#1 one\n#1 DONE 5.1s\n\n#2 two\n"));
  EXPECT_TRUE(text.ends_with("#2 two\n")) << "what still runs is shown as that";
}

TEST_F(PlainLogTest, WhoPrintsKeepsTheTurnForTenSeconds) {
  const auto one = log_.Add("one");
  const auto two = log_.Add("two");
  log_.Start(one);
  log_.Start(two);
  log_.Output(two, "b\n", false);
  for (int i = 0; i < 19; ++i) {
    Pass(milliseconds(500));
    log_.Output(one, "a\n", false);
    log_.Tick();
  }
  EXPECT_THAT(paper_.Text(), Not(HasSubstr("two")));
  Pass(milliseconds(500));
  log_.Output(one, "a\n", false);
  log_.Tick();
  EXPECT_THAT(paper_.Text(), HasSubstr("#2 two\n#2 0.000 b\n"));
}

TEST_F(PlainLogTest, WhatIsHeldBackIsBounded) {
  const auto one = log_.Add("one");
  const auto two = log_.Add("two");
  log_.Start(one);
  log_.Start(two);
  const std::string line(1000, 'x');
  for (int i = 0; i < 70; ++i) log_.Output(two, line + "\n", false);
  EXPECT_THAT(paper_.Text(), HasSubstr("#2 two\n#2 0.000 xxx"));
}

TEST_F(PlainLogTest, AnUnfinishedBuildLosesNothing) {
  const auto one = log_.Add("one");
  const auto two = log_.Add("two");
  log_.Start(one);
  log_.Start(two);
  log_.Output(two, "half", false);
  log_.Finish();
  EXPECT_EQ(paper_.Text(), "#1 one\n#1 ...\n\n#2 two\n#2 0.000 half\n");
  log_.Output(two, "late\n", false);
  log_.Done(one);
  log_.Finish();
  EXPECT_EQ(paper_.Text(), "#1 one\n#1 ...\n\n#2 two\n#2 0.000 half\n");
}

TEST_F(PlainLogTest, AnEndIsFinal) {
  const auto one = log_.Add("one");
  log_.Start(one);
  log_.Start(one);
  log_.Done(one);
  log_.Failed(one, "no");
  log_.Output(one, "late\n", false);
  log_.Done(one + 1);
  EXPECT_EQ(paper_.Text(), "#1 one\n#1 DONE 0.0s\n");
}

TEST_F(PlainLogTest, WarningsComeLast) {
  log_.Warning("MaintainerDeprecated: use a label (line 2)");
  log_.Cached(log_.Add("one"));
  log_.Warning("second");
  log_.Finish();
  EXPECT_EQ(paper_.Text(),
            "#1 one\n#1 CACHED\n\n 2 warnings found:\n"
            " - MaintainerDeprecated: use a label (line 2)\n - second\n");
}

TEST_F(BuildLogTest, WhatWasHeldBackIsShownInTimeByAThread) {
  PlainLog log(paper_.fd(), StartLogClock(), true);
  const auto one = log.Add("one");
  const auto two = log.Add("two");
  log.Start(one);
  log.Start(two);
  log.Output(two, "b\n", false);
  for (int i = 0; i < 100 && paper_.Text().find("two") == std::string::npos; ++i)
    std::this_thread::sleep_for(milliseconds(100));
  EXPECT_THAT(paper_.Text(), HasSubstr("#2 two\n"));
}

TEST_F(BuildLogTest, ThreadsMayAllTalk) {
  PlainLog log(paper_.fd(), StartLogClock(), true);
  {
    std::vector<std::jthread> threads;
    threads.reserve(4);
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&log] {
        const auto vertex = log.Add("v");
        log.Start(vertex);
        for (int i = 0; i < 500; ++i) log.Output(vertex, "line\n", i % 2 == 0);
        log.Done(vertex);
      });
    }
  }
  log.Finish();
  const std::string text = paper_.Text();
  size_t lines = 0;
  for (size_t at = text.find(" line\n"); at != text.npos; at = text.find(" line\n", at + 1))
    ++lines;
  EXPECT_EQ(lines, 2000U);
}

TEST_F(BuildLogTest, RawJsonIsBuildKitsSolveStatus) {
  RawJsonLog log(paper_.fd(), Clock());
  const auto run = log.Add("[1/1] RUN a && b");
  const auto from = log.Add("FROM x");
  log.Start(run);
  Pass(milliseconds(1500));
  log.Output(run, "hi \xff\n", true);
  log.Failed(run, "exit code: 1");
  log.Cached(from);
  log.Warning("careful");
  log.Finish();
  std::vector<std::string> lines;
  const std::string text = paper_.Text();
  for (size_t at = 0; at < text.size();) {
    const size_t end = text.find('\n', at);
    lines.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  ASSERT_EQ(lines.size(), 7U);
  const std::string digest = nlohmann::json::parse(lines[0])["vertexes"][0]["digest"];
  const std::string other = nlohmann::json::parse(lines[1])["vertexes"][0]["digest"];
  EXPECT_TRUE(digest.starts_with("sha256:"));
  EXPECT_NE(digest, other);
  EXPECT_EQ(lines[0],
            R"({"vertexes":[{"digest":")" + digest + R"(","name":"[1/1] RUN a \u0026\u0026 b"}]})");
  EXPECT_EQ(lines[2], R"({"vertexes":[{"digest":")" + digest +
                          R"(","name":"[1/1] RUN a \u0026\u0026 b",)"
                          R"("started":"2023-11-14T22:13:20Z"}]})");
  EXPECT_EQ(lines[3],
            R"({"logs":[{"vertex":")" + digest +
                R"(","stream":2,"data":"aGkg/wo=","timestamp":"2023-11-14T22:13:21.5Z"}]})");
  EXPECT_EQ(lines[4],
            R"({"vertexes":[{"digest":")" + digest +
                R"(","name":"[1/1] RUN a \u0026\u0026 b","started":"2023-11-14T22:13:20Z",)"
                R"("completed":"2023-11-14T22:13:21.5Z","error":"exit code: 1"}]})");
  EXPECT_EQ(lines[5], R"({"vertexes":[{"digest":")" + other +
                          R"(","name":"FROM x","started":"2023-11-14T22:13:21.5Z",)"
                          R"("completed":"2023-11-14T22:13:21.5Z","cached":true}]})");
  EXPECT_EQ(lines[6], R"({"warnings":[{"level":1,"short":"Y2FyZWZ1bA=="}]})");
}

TEST_F(BuildLogTest, QuietTellsOfFailuresOnly) {
  QuietLog log(paper_.fd(), Clock());
  const auto one = log.Add("one");
  const auto two = log.Add("two");
  log.Start(one);
  log.Output(one, "fine\n", false);
  log.Done(one);
  log.Start(two);
  log.Output(two, "bad\n", false);
  log.Failed(two, "exit code: 1");
  log.Warning("w");
  EXPECT_EQ(paper_.Text(), "");
  log.Finish();
  EXPECT_EQ(paper_.Text(), "------\n > two:\n0.000 bad\n------\n");
}

TEST(BuildLog, ReadsModes) {
  EXPECT_EQ(*ParseProgressMode("auto"), ProgressMode::kAuto);
  EXPECT_EQ(*ParseProgressMode("rawjson"), ProgressMode::kRawJson);
  const auto bad = ParseProgressMode("fancy");
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().code(), EINVAL);
}

TEST_F(BuildLogTest, AutoIsPlainWhereThereIsNoTerminal) {
  const auto log = BuildLog::Create(ProgressMode::kAuto, paper_.fd());
  log->Cached(log->Add("one"));
  log->Finish();
  EXPECT_EQ(paper_.Text(), "#1 one\n#1 CACHED\n");
}

// ---- the picture ----

VertexRecord Vertex(const std::string& name, VertexState state, milliseconds took = {}) {
  VertexRecord vertex{.name = name, .number = 1, .state = state, .tail = OutputTail(10)};
  vertex.ended = took;
  return vertex;
}

TEST(TtyFrame, ShowsStatesAndTimes) {
  std::vector<VertexRecord> vertexes = {
      Vertex("[internal] load", VertexState::kDone, milliseconds(40)),
      Vertex("[1/4] FROM debian", VertexState::kCached),
      Vertex("[2/4] RUN false", VertexState::kFailed, milliseconds(1234)),
      Vertex("[3/4] RUN sleep", VertexState::kCancelled, seconds(100)),
      Vertex("[4/4] RUN make", VertexState::kRunning)};
  vertexes.push_back(Vertex("waits", VertexState::kWaiting));
  vertexes.back().number = 0;
  vertexes[4].tail.Add("one\n\ntwo\x1b[1m!\n", {});
  const FrameOptions options{
      .columns = 40, .rows = 30, .colours = false, .now = milliseconds(2100)};
  EXPECT_EQ(
      FrameLines(vertexes, options),
      std::vector<std::string>(
          {"[+] Building 2.1s (4/6)                ", " => [internal] load                0.0s",
           " => CACHED [1/4] FROM debian       0.0s", " => ERROR [2/4] RUN false          1.2s",
           " => CANCELED [3/4] RUN sleep     100.0s", " => [4/4] RUN make                 2.1s",
           " => => # one", " => => # two!"}));
}

TEST(TtyFrame, TheLastPictureSaysFinished) {
  const std::vector<VertexRecord> vertexes = {Vertex("one", VertexState::kDone, seconds(1))};
  const FrameOptions options{
      .columns = 40, .rows = 3, .colours = true, .now = seconds(2), .last = true};
  EXPECT_EQ(FrameLines(vertexes, options),
            std::vector<std::string>({"[+] Building 2.0s (1/1) FINISHED       ",
                                      "\x1b[34m => one                            1.0s\x1b[0m"}));
}

TEST(TtyFrame, WhatRunsIsNeverHidden) {
  std::vector<VertexRecord> vertexes;
  vertexes.push_back(Vertex("runs", VertexState::kRunning));
  vertexes.back().tail.Add("output\n", {});
  for (int i = 0; i < 50; ++i)
    vertexes.push_back(Vertex("done " + std::to_string(i), VertexState::kDone));
  FrameOptions options{.columns = 40, .rows = 10, .colours = false};
  std::vector<std::string> lines = FrameLines(vertexes, options);
  EXPECT_EQ(lines.size(), 9U) << "one line each, but for that of the cursor";
  EXPECT_THAT(lines[1], HasSubstr("=> runs "));
  EXPECT_THAT(lines[2], HasSubstr("=> done 43 "));
  options.rows = 24;
  lines = FrameLines(vertexes, options);
  EXPECT_EQ(lines.size(), 23U);
  EXPECT_THAT(lines[2], HasSubstr("# output"));
  options.last = true;
  EXPECT_EQ(FrameLines(vertexes, options).size(), 52U);
}

TEST(TtyFrame, NoLineIsWiderThanTheTerminal) {
  std::vector<VertexRecord> vertexes = {
      Vertex(std::string(200, 'x'), VertexState::kRunning),
      Vertex("日本語日本語日本語日本語日本語日本語", VertexState::kRunning)};
  vertexes[0].tail.Add(std::string(200, 'y') + "\xff\xfe\n", {});
  for (const int columns : {1, 5, 20, 30, 31, 80}) {
    for (const std::string& line :
         FrameLines(vertexes, {.columns = columns, .rows = 30, .colours = false})) {
      int width = 0;
      for (const char c : line) width += (static_cast<unsigned char>(c) & 0xC0) != 0x80 ? 1 : 0;
      for (size_t at = line.find("日"); at != line.npos; at = line.find("日", at + 1)) ++width;
      for (size_t at = line.find("本"); at != line.npos; at = line.find("本", at + 1)) ++width;
      for (size_t at = line.find("語"); at != line.npos; at = line.find("語", at + 1)) ++width;
      EXPECT_LT(width, std::max(columns, 2)) << line;
    }
  }
  EXPECT_EQ(FitColumns("日本語", 5), "日本");
  EXPECT_EQ(FitColumns("a\xff\x1b", 5), "a\xEF\xBF\xBD?");
}

// A terminal of our own: what is written to `fd` can be read back.
class Terminal {
 public:
  Terminal() : master_(posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK)) {
    if (grantpt(master_.get()) != 0 || unlockpt(master_.get()) != 0) return;
    fd_ = UniqueFd(open(ptsname(master_.get()), O_RDWR | O_NOCTTY | O_CLOEXEC));
    const winsize size{.ws_row = 24, .ws_col = 60, .ws_xpixel = 0, .ws_ypixel = 0};
    ioctl(fd_.get(), TIOCSWINSZ, &size);
  }
  int fd() const { return fd_.get(); }
  std::string Read() const {
    std::array<char, 65536> buffer{};
    const ssize_t size = read(master_.get(), buffer.data(), buffer.size());
    std::string text(buffer.data(), size > 0 ? static_cast<size_t>(size) : 0);
    std::erase(text, '\r');  // the terminal's own
    return text;
  }

 private:
  UniqueFd master_;
  UniqueFd fd_;
};

TEST(TtyLog, RedrawsInPlaceAndLeavesTheLastPicture) {
  const Terminal terminal;
  ASSERT_GE(terminal.fd(), 0);
  TtyLog log(terminal.fd(), StartLogClock(), false);
  const auto one = log.Add("one");
  const auto two = log.Add("two");
  log.Start(one);
  log.Output(one, "text\n", false);
  std::this_thread::sleep_for(milliseconds(350));
  const std::string drawn = terminal.Read();
  EXPECT_THAT(drawn, HasSubstr("[+] Building 0."));
  EXPECT_THAT(drawn, HasSubstr(" => => # text\x1b[K\n"));
  EXPECT_THAT(drawn, HasSubstr("\x1b[3A")) << "over the three lines of before";
  const auto pictures = [](const std::string& text) {
    size_t n = 0;
    for (size_t at = text.find("[+]"); at != text.npos; at = text.find("[+]", at + 1)) ++n;
    return n;
  };
  EXPECT_GE(pictures(drawn), 2U);
  EXPECT_LE(pictures(drawn), 4U);
  log.Done(one);
  log.Failed(two, "no");
  log.Finish();
  const std::string last = terminal.Read();
  EXPECT_THAT(last, HasSubstr("(2/2) FINISHED"));
  EXPECT_THAT(last, HasSubstr(" => ERROR two "));
  EXPECT_THAT(last, HasSubstr("\x1b[?25h------\n > two:\n------\n"));
  std::this_thread::sleep_for(milliseconds(250));
  EXPECT_EQ(terminal.Read(), "") << "nobody draws any more";
}

}  // namespace
}  // namespace veneer::build
