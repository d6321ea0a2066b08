#include "tools/build/log/output_tail.h"

#include <algorithm>

namespace veneer::build {
namespace {

bool IsControl(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

// What of `text` matters once all but its last `lines` lines are forgotten.
std::string_view LastLines(std::string_view text, size_t lines) {
  size_t at = text.size();
  for (size_t n = 0; n <= lines; ++n) {
    if (at == 0) return text;
    at = text.rfind('\n', at - 1);
    if (at == std::string_view::npos) return text;
  }
  return text.substr(at);  // from a newline on: it ends whatever came before
}

}  // namespace

void OutputTail::Add(std::string_view text, std::chrono::nanoseconds time) {
  bytes_ += text.size();
  text = LastLines(text, max_lines_);
  while (!text.empty()) {
    if (state_ == State::kText && !IsControl(text.front())) {
      const auto* const end = std::find_if(text.begin(), text.end(), IsControl);
      const auto length = static_cast<size_t>(end - text.begin());
      Text(text.substr(0, length), time);
      text.remove_prefix(length);
    } else {
      Byte(text.front(), time);
      text.remove_prefix(1);
    }
  }
}

void OutputTail::Byte(char c, std::chrono::nanoseconds time) {
  if (c == '\n') {
    state_ = State::kText;
    EndLine(time);
    return;
  }
  switch (state_) {
    case State::kText:
      if (c == '\x1b') {
        state_ = State::kEscape;
      } else if (c == '\r') {
        returned_ = open_;
      } else if (c == '\t') {
        Text(" ", time);
      }
      return;
    case State::kEscape:
      if (c == '[') {
        state_ = State::kSequence;
      } else if (std::string_view("]PX^_").find(c) != std::string_view::npos) {
        state_ = State::kString;
      } else if (c < 0x20 || c > 0x2f) {  // others say what kind of escape it is
        state_ = State::kText;
      }
      return;
    case State::kSequence:
      if (c >= 0x40 && c <= 0x7e) state_ = State::kText;
      return;
    case State::kString:
      if (c == '\x1b') state_ = State::kStringEscape;
      if (c == '\a') state_ = State::kText;
      return;
    case State::kStringEscape:
      state_ = c == '\\' ? State::kText : State::kString;
      return;
  }
}

void OutputTail::Text(std::string_view text, std::chrono::nanoseconds time) {
  std::string& line = OpenLine(time);
  if (returned_) line.clear();
  returned_ = false;
  line += text.substr(0, kMaxLineBytes - std::min(line.size(), kMaxLineBytes));
}

void OutputTail::EndLine(std::chrono::nanoseconds time) {
  (void)OpenLine(time);
  open_ = false;
  returned_ = false;
}

std::string& OutputTail::OpenLine(std::chrono::nanoseconds time) {
  if (!open_) {
    lines_.push_back({time, ""});
    if (lines_.size() > max_lines_) lines_.pop_front();
    open_ = true;
  }
  return lines_.back().text;
}

}  // namespace veneer::build
