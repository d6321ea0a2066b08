#include "tools/build/log/tty_frame.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "tools/utf8.h"

namespace veneer::build {
namespace {

constexpr int kOutputLines = 6;  // shown of a vertex that runs
constexpr int kMinName = 12;     // columns; a terminal with less room shows no vertexes

constexpr std::string_view kPlain = "\x1b[0m";
constexpr std::string_view kFaint = "\x1b[2m";

int Width(std::string_view text) {
  int width = 0;
  for (size_t at = 0; at < text.size();) {
    const tools::Rune rune = tools::DecodeRune(text, at);
    width += tools::RuneWidth(rune.value);
    at += rune.size;
  }
  return width;
}

// `left`, cut to fit, and `right` at the end of a line of `columns`.
std::string Align(std::string_view left, std::string_view right, int columns) {
  std::string line = FitColumns(left, columns - Width(right));
  line.append(static_cast<size_t>(std::max(0, columns - Width(line) - Width(right))), ' ');
  return line += right;
}

std::string_view Colour(VertexState state) {
  switch (state) {
    case VertexState::kFailed:
      return "\x1b[31m";
    case VertexState::kCancelled:
      return "\x1b[33m";
    case VertexState::kDone:
    case VertexState::kCached:
      return "\x1b[34m";
    case VertexState::kWaiting:
    case VertexState::kRunning:
      return "";
  }
  return "";
}

std::string_view Prefix(VertexState state) {
  if (state == VertexState::kFailed) return "ERROR ";
  if (state == VertexState::kCancelled) return "CANCELED ";
  if (state == VertexState::kCached) return "CACHED ";
  return "";
}

class Frame {
 public:
  Frame(std::span<const VertexRecord> vertexes, const FrameOptions& options)
      : options_(options), all_(vertexes.size()) {
    for (const VertexRecord& vertex : vertexes) {
      if (vertex.Shown()) shown_.push_back(&vertex);
      if (vertex.Shown() && vertex.Ended()) ++ended_;
    }
  }

  std::vector<std::string> Lines() {
    if (!options_.last) MakeRoom();
    lines_.push_back(Heading());
    for (const VertexRecord* vertex : shown_) AddVertex(*vertex);
    return std::move(lines_);
  }

 private:
  std::string Heading() const {
    const bool finished = options_.last && ended_ > 0 && ended_ == all_;
    const double took = std::chrono::duration<double>(options_.now - options_.began).count();
    return Align(fmt::format("[+] Building {:.1f}s ({}/{}){}", took, ended_, all_,
                             finished ? " FINISHED" : ""),
                 "", options_.columns - 1);
  }

  static std::vector<std::string_view> OutputOf(const VertexRecord& vertex) {
    std::vector<std::string_view> lines;
    for (const OutputTail::Line& line : vertex.tail.lines()) {
      if (line.text.find_first_not_of(' ') != std::string::npos) lines.push_back(line.text);
    }
    if (lines.size() > kOutputLines) lines.erase(lines.begin(), lines.end() - kOutputLines);
    return lines;
  }

  // Decides whose output is shown, and which vertexes: the last ones, and those that still run.
  void MakeRoom() {
    const int rows = std::max(0, options_.rows - 2);
    std::vector<const VertexRecord*> talking;
    int running = 0;
    for (const VertexRecord* vertex : shown_) {
      if (!vertex->Running()) continue;
      ++running;
      if (!OutputOf(*vertex).empty()) talking.push_back(vertex);
    }
    std::ranges::stable_sort(talking, std::greater(),
                             [](const VertexRecord* v) { return v->tail.bytes(); });
    int taken = 0;
    for (const VertexRecord* vertex : talking) {
      if (rows - running - taken <= kOutputLines + 3) break;
      with_output_.insert(vertex);
      taken += static_cast<int>(OutputOf(*vertex).size());
    }
    Wrap(static_cast<size_t>(std::max(0, rows - taken)));
  }

  void Wrap(size_t limit) {
    if (shown_.size() <= limit) return;
    const auto first = shown_.end() - static_cast<ptrdiff_t>(limit);
    std::vector<const VertexRecord*> hidden_running(shown_.begin(), first);
    std::erase_if(hidden_running, [](const VertexRecord* v) { return !v->Running(); });
    std::vector<const VertexRecord*> kept;
    size_t freed = 0;
    for (auto at = first; at != shown_.end(); ++at) {
      if ((*at)->Ended() && freed < hidden_running.size()) {
        ++freed;
      } else {
        kept.push_back(*at);
      }
    }
    kept.insert(kept.begin(), hidden_running.end() - static_cast<ptrdiff_t>(freed),
                hidden_running.end());
    shown_ = std::move(kept);
  }

  void AddVertex(const VertexRecord& vertex) {
    const LogTime end = vertex.Ended() ? vertex.ended : options_.now;
    double took = std::chrono::duration<double>(end - vertex.started).count();
    if (took < 0.05) took = 0;  // not 0.1 for what took no time
    const std::string timer = fmt::format(" {:3.1f}s", took);
    if (options_.columns - 1 - static_cast<int>(timer.size()) < kMinName + 4) return;
    std::string line = Align(fmt::format(" => {}{}", Prefix(vertex.state), vertex.name), timer,
                             options_.columns - 1);
    AddColoured(std::move(line), Colour(vertex.state));
    if (!with_output_.contains(&vertex)) return;
    for (const std::string_view output : OutputOf(vertex))
      AddColoured(FitColumns(" => => # " + std::string(output), options_.columns - 1), kFaint);
  }

  void AddColoured(std::string line, std::string_view colour) {
    if (options_.colours && !colour.empty())
      line = std::string(colour) + line + std::string(kPlain);
    lines_.push_back(std::move(line));
  }

  const FrameOptions& options_;
  size_t all_;
  size_t ended_ = 0;
  std::vector<const VertexRecord*> shown_;
  std::set<const VertexRecord*> with_output_;
  std::vector<std::string> lines_;
};

}  // namespace

std::string FitColumns(std::string_view text, int columns) {
  std::string out;
  int width = 0;
  for (size_t at = 0; at < text.size();) {
    const tools::Rune rune = tools::DecodeRune(text, at);
    at += rune.size;
    const bool control = rune.value < 0x20 || (rune.value >= 0x7f && rune.value < 0xa0);
    width += control ? 1 : tools::RuneWidth(rune.value);
    if (width > columns) break;
    tools::AppendRune(out, control ? U'?' : rune.value);
  }
  return out;
}

std::vector<std::string> FrameLines(std::span<const VertexRecord> vertexes,
                                    const FrameOptions& options) {
  return Frame(vertexes, options).Lines();
}

}  // namespace veneer::build
