// OutputTail: the last lines of what a vertex printed, as they would stand on a terminal.
//
// A carriage return begins the line again; escape sequences and other control characters are left
// out, so the lines are safe to show. Bounded: so many lines, and so many bytes of each. Not
// thread-safe.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>

namespace veneer::build {

class OutputTail {
 public:
  struct Line {
    std::chrono::nanoseconds time{};  // what Add was given when the line began
    std::string text;                 // maybe not UTF-8
  };
  static constexpr size_t kMaxLineBytes = 4096;  // the rest of a line is left out

  explicit OutputTail(size_t max_lines) : max_lines_(max_lines) {}

  // REQUIRES: max_lines > 0.
  void Add(std::string_view text, std::chrono::nanoseconds time);

  // Oldest first; the last may not have ended yet.
  const std::deque<Line>& lines() const { return lines_; }
  uint64_t bytes() const { return bytes_; }  // that were printed in all

 private:
  // Where in a control sequence (ECMA-48) the output stands. A newline ends any of them: a program
  // that was killed in the middle of one must not hide what others print.
  enum class State { kText, kEscape, kSequence, kString, kStringEscape };

  void Byte(char c, std::chrono::nanoseconds time);
  void Text(std::string_view text, std::chrono::nanoseconds time);
  void EndLine(std::chrono::nanoseconds time);
  std::string& OpenLine(std::chrono::nanoseconds time);

  size_t max_lines_;
  std::deque<Line> lines_;
  uint64_t bytes_ = 0;
  State state_ = State::kText;
  bool open_ = false;      // the last of lines_ has not ended
  bool returned_ = false;  // the next text replaces the line
};

}  // namespace veneer::build
