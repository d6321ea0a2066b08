// VertexLog: what all kinds of build logs have in common: the vertexes, their states, and what is
// said at the end.
//
// A kind of log says what to do when something happens; it is called with the lock held.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "store/base/mutex.h"
#include "tools/build/log/build_log.h"
#include "tools/build/log/output_tail.h"

namespace veneer::build {

using LogTime = std::chrono::nanoseconds;   // since 1970
using LogClock = std::function<LogTime()>;  // never goes back

// Begins with the time of day, and then counts as the monotonic clock does.
LogClock StartLogClock();

// kWaiting → kRunning → one of the others, which are final; from kWaiting also to these directly.
enum class VertexState { kWaiting, kRunning, kDone, kCached, kFailed, kCancelled };

struct VertexRecord {
  std::string name;   // one line, without control characters
  size_t number = 0;  // 0: never started
  VertexState state = VertexState::kWaiting;
  LogTime started{};
  LogTime ended{};
  std::string error;  // kFailed
  OutputTail tail;

  bool Shown() const { return number != 0; }
  bool Running() const { return state == VertexState::kRunning; }
  bool Ended() const { return state != VertexState::kWaiting && !Running(); }
};

class VertexLog : public BuildLog {
 public:
  Vertex Add(std::string name) final;
  void Start(Vertex vertex) final;
  void Cached(Vertex vertex) final;
  void Output(Vertex vertex, std::string_view text, bool is_stderr) final;
  void Done(Vertex vertex) final;
  void Failed(Vertex vertex, std::string_view error) final;
  void Cancelled(Vertex vertex) final;
  void Warning(std::string_view text) final;
  void Finish() override;

 protected:
  // Keeps the last `tail_lines` of each vertex, maybe none. `fd` is borrowed.
  VertexLog(int fd, LogClock clock, size_t tail_lines)
      : clock_(std::move(clock)), fd_(fd), tail_lines_(tail_lines) {}

  virtual void OnAdd(Vertex) REQUIRES_LOCK(mu_) {}
  virtual void OnStart(Vertex) REQUIRES_LOCK(mu_) {}
  virtual void OnOutput(Vertex, std::string_view, bool /*is_stderr*/) REQUIRES_LOCK(mu_) {}
  // A vertex that was cancelled before it was started has no number.
  virtual void OnEnd(Vertex) REQUIRES_LOCK(mu_) {}
  virtual void OnFinish() REQUIRES_LOCK(mu_) {}

  // "------\n > NAME:\n0.079 last line\n------\n" for each that failed.
  std::string ErrorBlocks() const REQUIRES_LOCK(mu_);
  // "\n 2 warnings found:\n - …\n"; empty if there were none.
  std::string WarningBlock(bool colours) const REQUIRES_LOCK(mu_);
  // A log that cannot be written is no reason to fail the build.
  void Write(std::string_view text) const;

  const LogClock clock_;
  const int fd_;
  Mutex mu_;
  std::vector<VertexRecord> vertexes_ GUARDED_BY(mu_);
  std::vector<std::string> warnings_ GUARDED_BY(mu_);

 private:
  bool IsOpen(Vertex vertex) const REQUIRES_LOCK(mu_);
  void Begin(VertexRecord& record) REQUIRES_LOCK(mu_);
  void End(Vertex vertex, VertexState state, std::string_view error);

  const size_t tail_lines_;
  size_t last_number_ GUARDED_BY(mu_) = 0;
  bool finished_ GUARDED_BY(mu_) = false;
};

// Nothing until the end, and then only what failed.
class QuietLog final : public VertexLog {
 public:
  QuietLog(int fd, LogClock clock);

 private:
  void OnFinish() REQUIRES_LOCK(mu_) override;
};

// "0.079", "12.35", "123.4".
std::string LogSeconds(LogTime time);

// BuildKit keeps ten lines of a vertex for what it says of a failure.
inline constexpr size_t kErrorLines = 10;

}  // namespace veneer::build
