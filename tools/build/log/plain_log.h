// PlainLog: BuildKit's plain log: lines that begin with the vertex' number.
//
// One vertex is shown at a time, under a heading of its own; what others print meanwhile is held
// back until it ends, has been silent, or they have waited for long or have much to say. So lines
// of vertexes that run at once come in a few large groups. Output passes as it is.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tools/build/log/ticker.h"
#include "tools/build/log/vertex_log.h"

namespace veneer::build {

class PlainLog final : public VertexLog {
 public:
  // With `ticks`, a thread calls Tick() while something is held back.
  PlainLog(int fd, LogClock clock, bool ticks);
  ~PlainLog() override;

  // Shows what has been held back for long enough.
  void Tick();

 private:
  // What PlainLog knows about a vertex besides its record.
  struct Page {
    std::string held;  // formatted, not yet shown
    LogTime held_since{};
    bool at_line_start = true;
  };

  void OnAdd(Vertex vertex) REQUIRES_LOCK(mu_) override;
  void OnStart(Vertex vertex) REQUIRES_LOCK(mu_) override;
  void OnOutput(Vertex vertex, std::string_view text, bool is_stderr) REQUIRES_LOCK(mu_) override;
  void OnEnd(Vertex vertex) REQUIRES_LOCK(mu_) override;
  void OnFinish() REQUIRES_LOCK(mu_) override;

  std::string Format(Vertex vertex, std::string_view text, LogTime now) REQUIRES_LOCK(mu_);
  std::string EndOfLine(Vertex vertex) REQUIRES_LOCK(mu_);
  std::string StatusLine(const VertexRecord& record) const;
  void Show(Vertex vertex) REQUIRES_LOCK(mu_);
  void ShowNext() REQUIRES_LOCK(mu_);
  std::optional<Vertex> LongestHeld() const REQUIRES_LOCK(mu_);
  bool MayTurnTo(Vertex vertex, LogTime now) const REQUIRES_LOCK(mu_);

  const bool ticks_;
  std::vector<Page> pages_ GUARDED_BY(mu_);
  std::optional<Vertex> current_ GUARDED_BY(mu_);  // under whose heading we are
  LogTime current_since_ GUARDED_BY(mu_){};
  LogTime last_output_ GUARDED_BY(mu_){};  // of the current vertex
  bool any_heading_ GUARDED_BY(mu_) = false;
  std::unique_ptr<Ticker> ticker_;  // last: its thread uses the others
};

}  // namespace veneer::build
