#include "tools/build/log/plain_log.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace veneer::build {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// As in BuildKit, so that headings do not alternate: a vertex is shown for at least kMinTurn while
// it prints, and nobody waits longer than kMaxHeld.
constexpr seconds kMinTurn{5};
constexpr seconds kMaxHeld{10};
constexpr seconds kSilence{1};
constexpr milliseconds kTickEvery{500};
constexpr size_t kMaxHeldBytes = size_t{64} << 10;

}  // namespace

PlainLog::PlainLog(int fd, LogClock clock, bool ticks)
    : VertexLog(fd, std::move(clock), kErrorLines), ticks_(ticks) {}

PlainLog::~PlainLog() = default;

void PlainLog::OnAdd(Vertex) { pages_.emplace_back(); }

void PlainLog::OnStart(Vertex vertex) {
  if (!current_) Show(vertex);
}

void PlainLog::OnOutput(Vertex vertex, std::string_view text, bool) {
  const LogTime now = clock_();
  const std::string formatted = Format(vertex, text, now);
  if (current_ == vertex) {
    last_output_ = now;
    Write(formatted);
    return;
  }
  Page& page = pages_[vertex];
  if (page.held.empty()) page.held_since = now;
  page.held += formatted;
  if (MayTurnTo(vertex, now)) {
    Show(vertex);
  } else if (ticks_ && !ticker_) {
    ticker_ = std::make_unique<Ticker>(kTickEvery, [this] { Tick(); });
  }
}

bool PlainLog::MayTurnTo(Vertex vertex, LogTime now) const {
  const Page& page = pages_[vertex];
  if (!current_ || page.held.size() > kMaxHeldBytes || now - page.held_since >= kMaxHeld)
    return true;
  return now - current_since_ >= kMinTurn && now - last_output_ >= kSilence;
}

void PlainLog::Tick() {
  const MutexLock lock(mu_);
  const std::optional<Vertex> next = LongestHeld();
  if (next && MayTurnTo(*next, clock_())) Show(*next);
}

std::optional<BuildLog::Vertex> PlainLog::LongestHeld() const {
  std::optional<Vertex> longest;
  for (Vertex vertex = 0; vertex < pages_.size(); ++vertex) {
    if (pages_[vertex].held.empty()) continue;
    if (!longest || pages_[vertex].held_since < pages_[*longest].held_since) longest = vertex;
  }
  return longest;
}

std::string PlainLog::Format(Vertex vertex, std::string_view text, LogTime now) {
  const VertexRecord& record = vertexes_[vertex];
  Page& page = pages_[vertex];
  std::string out;
  while (!text.empty()) {
    const size_t newline = text.find('\n');
    const std::string_view line = text.substr(0, newline == text.npos ? newline : newline + 1);
    if (page.at_line_start)
      out += fmt::format("#{} {} ", record.number, LogSeconds(now - record.started));
    out += line;
    page.at_line_start = newline != text.npos;
    text.remove_prefix(line.size());
  }
  return out;
}

std::string PlainLog::EndOfLine(Vertex vertex) {
  return std::exchange(pages_[vertex].at_line_start, true) ? "" : "\n";
}

void PlainLog::Show(Vertex vertex) {
  if (current_ == vertex) return;
  std::string out;
  if (current_) out += EndOfLine(*current_) + fmt::format("#{} ...\n", vertexes_[*current_].number);
  if (std::exchange(any_heading_, true)) out += "\n";
  out += fmt::format("#{} {}\n", vertexes_[vertex].number, vertexes_[vertex].name);
  out += std::exchange(pages_[vertex].held, "");
  Write(out);
  current_ = vertex;
  current_since_ = last_output_ = clock_();
}

std::string PlainLog::StatusLine(const VertexRecord& record) const {
  const std::string begin = fmt::format("#{} ", record.number);
  if (record.state == VertexState::kCached) return begin + "CACHED\n";
  if (record.state == VertexState::kCancelled) return begin + "CANCELED\n";
  if (record.state == VertexState::kFailed) return begin + "ERROR: " + record.error + "\n";
  const double took = std::chrono::duration<double>(record.ended - record.started).count();
  return begin + fmt::format("DONE {:.1f}s\n", took);
}

void PlainLog::OnEnd(Vertex vertex) {
  if (!vertexes_[vertex].Shown()) return;
  Show(vertex);
  Write(EndOfLine(vertex) + StatusLine(vertexes_[vertex]));
  current_.reset();
  ShowNext();
}

void PlainLog::ShowNext() {
  if (const auto held = LongestHeld()) {
    Show(*held);
    return;
  }
  const auto running = std::ranges::find_if(vertexes_, &VertexRecord::Running);
  if (running != vertexes_.end()) Show(static_cast<Vertex>(running - vertexes_.begin()));
}

void PlainLog::OnFinish() {
  while (const auto held = LongestHeld()) Show(*held);
  if (current_) Write(EndOfLine(*current_));
  current_.reset();
  Write(ErrorBlocks() + WarningBlock(false));
}

}  // namespace veneer::build
