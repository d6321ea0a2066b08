#include "tools/build/log/vertex_log.h"

#include <fmt/format.h>

#include <utility>

#include "store/base/beneath.h"

namespace veneer::build {
namespace {

std::string OneLine(std::string name) {
  for (char& c : name) {
    if (c == '\t' || c == '\n') {
      c = ' ';
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      c = '?';
    }
  }
  return name;
}

}  // namespace

LogClock StartLogClock() {
  using std::chrono::steady_clock;
  using std::chrono::system_clock;
  const LogTime offset =
      system_clock::now().time_since_epoch() - LogTime(steady_clock::now().time_since_epoch());
  return [offset] { return offset + LogTime(steady_clock::now().time_since_epoch()); };
}

std::string LogSeconds(LogTime time) {
  const double seconds = std::chrono::duration<double>(time).count();
  int decimals = 1;
  if (seconds < 10) {
    decimals = 3;
  } else if (seconds < 100) {
    decimals = 2;
  }
  return fmt::format("{:.{}f}", seconds, decimals);
}

BuildLog::Vertex VertexLog::Add(std::string name) {
  const MutexLock lock(mu_);
  vertexes_.push_back({.name = OneLine(std::move(name)), .tail = OutputTail(tail_lines_)});
  OnAdd(vertexes_.size() - 1);
  return vertexes_.size() - 1;
}

bool VertexLog::IsOpen(Vertex vertex) const {
  return !finished_ && vertex < vertexes_.size() && !vertexes_[vertex].Ended();
}

void VertexLog::Begin(VertexRecord& record) {
  if (record.Shown()) return;
  record.number = ++last_number_;
  record.started = clock_();
  record.state = VertexState::kRunning;
}

void VertexLog::Start(Vertex vertex) {
  const MutexLock lock(mu_);
  if (!IsOpen(vertex) || vertexes_[vertex].Shown()) return;
  Begin(vertexes_[vertex]);
  OnStart(vertex);
}

void VertexLog::Output(Vertex vertex, std::string_view text, bool is_stderr) {
  const MutexLock lock(mu_);
  if (!IsOpen(vertex) || text.empty()) return;
  VertexRecord& record = vertexes_[vertex];
  Begin(record);
  if (tail_lines_ > 0) record.tail.Add(text, clock_() - record.started);
  OnOutput(vertex, text, is_stderr);
}

void VertexLog::End(Vertex vertex, VertexState state, std::string_view error) {
  const MutexLock lock(mu_);
  if (!IsOpen(vertex)) return;
  VertexRecord& record = vertexes_[vertex];
  if (state != VertexState::kCancelled) Begin(record);
  record.state = state;
  record.ended = clock_();
  record.error = error;
  OnEnd(vertex);
}

void VertexLog::Cached(Vertex vertex) { End(vertex, VertexState::kCached, ""); }
void VertexLog::Done(Vertex vertex) { End(vertex, VertexState::kDone, ""); }
void VertexLog::Failed(Vertex vertex, std::string_view error) {
  End(vertex, VertexState::kFailed, error);
}
void VertexLog::Cancelled(Vertex vertex) { End(vertex, VertexState::kCancelled, ""); }

void VertexLog::Warning(std::string_view text) {
  const MutexLock lock(mu_);
  if (!finished_) warnings_.emplace_back(text);
}

void VertexLog::Finish() {
  const MutexLock lock(mu_);
  if (std::exchange(finished_, true)) return;
  OnFinish();
}

std::string VertexLog::ErrorBlocks() const {
  std::string out;
  for (const VertexRecord& record : vertexes_) {
    if (record.state != VertexState::kFailed) continue;
    out += fmt::format("------\n > {}:\n", record.name);
    for (const OutputTail::Line& line : record.tail.lines())
      out += fmt::format("{} {}\n", LogSeconds(line.time), line.text);
    out += "------\n";
  }
  return out;
}

std::string VertexLog::WarningBlock(bool colours) const {
  if (warnings_.empty()) return "";
  std::string heading = warnings_.size() == 1
                            ? std::string("1 warning found:\n")
                            : fmt::format("{} warnings found:\n", warnings_.size());
  if (colours) heading = "\x1b[33m" + heading + "\x1b[0m";
  std::string out = "\n " + heading;
  for (const std::string& warning : warnings_) out += " - " + warning + "\n";
  return out;
}

void VertexLog::Write(std::string_view text) const { (void)WriteAll(fd_, text); }

QuietLog::QuietLog(int fd, LogClock clock) : VertexLog(fd, std::move(clock), kErrorLines) {}

void QuietLog::OnFinish() { Write(ErrorBlocks()); }

}  // namespace veneer::build
