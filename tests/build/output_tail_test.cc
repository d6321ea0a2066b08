#include "tools/build/log/output_tail.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace veneer::build {
namespace {

using std::chrono::milliseconds;

std::vector<std::string> Lines(const OutputTail& tail) {
  std::vector<std::string> lines;
  for (const OutputTail::Line& line : tail.lines()) lines.push_back(line.text);
  return lines;
}

std::vector<std::string> LinesOf(const std::string& output, size_t max_lines = 10) {
  // In one piece and byte by byte: where a piece ends must not matter.
  OutputTail whole(max_lines);
  OutputTail bytes(max_lines);
  whole.Add(output, milliseconds(0));
  for (const char c : output) bytes.Add({&c, 1}, milliseconds(0));
  EXPECT_EQ(Lines(whole), Lines(bytes)) << output;
  return Lines(whole);
}

using Texts = std::vector<std::string>;

TEST(OutputTail, KeepsTheLastLines) {
  EXPECT_EQ(LinesOf("a\nb\nc\n", 2), Texts({"b", "c"}));
  EXPECT_EQ(LinesOf("a\nb\nc", 2), Texts({"b", "c"}));
  EXPECT_EQ(LinesOf("a\n\n\nb\n", 2), Texts({"", "b"}));
  EXPECT_EQ(LinesOf("\n", 2), Texts({""}));
  EXPECT_EQ(LinesOf("\n\n\n\na", 1), Texts({"a"}));
  EXPECT_EQ(LinesOf("", 2), Texts());
}

TEST(OutputTail, ALineHasTheTimeItBeganAt) {
  OutputTail tail(3);
  tail.Add("one ", milliseconds(5));
  tail.Add("line\ntwo", milliseconds(70));
  ASSERT_EQ(tail.lines().size(), 2U);
  EXPECT_EQ(tail.lines()[0].text, "one line");
  EXPECT_EQ(tail.lines()[0].time, milliseconds(5));
  EXPECT_EQ(tail.lines()[1].time, milliseconds(70));
  EXPECT_EQ(tail.bytes(), 12U);
}

TEST(OutputTail, ACarriageReturnBeginsTheLineAgain) {
  EXPECT_EQ(LinesOf("10%\r20%\r100%\ndone\r\n"), Texts({"100%", "done"}));
  EXPECT_EQ(LinesOf("stays\r"), Texts({"stays"}));
  EXPECT_EQ(LinesOf("\rx"), Texts({"x"}));
}

TEST(OutputTail, ControlSequencesAreLeftOut) {
  EXPECT_EQ(LinesOf("\x1b[31mred\x1b[0m, \x1b[2Jclear\n"), Texts({"red, clear"}));
  EXPECT_EQ(LinesOf("\x1b]0;title\abell, \x1b]8;;http://x\x1b\\link\n"), Texts({"bell, link"}));
  EXPECT_EQ(LinesOf("\x1b(Bcharset \x1b"
                    "7saved\n"),
            Texts({"charset saved"}));
  EXPECT_EQ(LinesOf("a\tb\bc\x7f\n"), Texts({"a bc"}));
  EXPECT_EQ(LinesOf("\x1b]0;never ends\nnext\n"), Texts({"", "next"}));
  EXPECT_EQ(LinesOf("x\x1b[12\ny\n"), Texts({"x", "y"}));
}

TEST(OutputTail, IsBounded) {
  OutputTail tail(2);
  tail.Add(std::string(3 * OutputTail::kMaxLineBytes, 'x'), milliseconds(0));
  tail.Add("y\nz", milliseconds(0));
  ASSERT_EQ(tail.lines().size(), 2U);
  EXPECT_EQ(tail.lines()[0].text, std::string(OutputTail::kMaxLineBytes, 'x'));
  EXPECT_EQ(tail.lines()[1].text, "z");
  std::string many;
  for (int i = 0; i < 100'000; ++i) many += std::to_string(i) + "\n";
  tail.Add(many, milliseconds(0));
  EXPECT_EQ(Lines(tail), Texts({"99998", "99999"}));
}

}  // namespace
}  // namespace veneer::build
