// TtyLog: BuildKit's display on a terminal: a picture that is drawn again, in place, at most ten
// times a second, by a thread of its own. The cursor is hidden only while a picture is written, so
// nothing has to be restored, however the process ends.
#pragma once

#include <memory>
#include <string>

#include "tools/build/log/ticker.h"
#include "tools/build/log/vertex_log.h"

namespace veneer::build {

class TtyLog final : public VertexLog {
 public:
  TtyLog(int fd, LogClock clock, bool colours);
  ~TtyLog() override;

  void Finish() override;

 private:
  void OnAdd(Vertex vertex) REQUIRES_LOCK(mu_) override;
  void OnStart(Vertex vertex) REQUIRES_LOCK(mu_) override;
  void OnOutput(Vertex vertex, std::string_view text, bool is_stderr) REQUIRES_LOCK(mu_) override;
  void OnEnd(Vertex vertex) REQUIRES_LOCK(mu_) override;
  void OnFinish() REQUIRES_LOCK(mu_) override;

  void Tick();
  std::string Picture(bool last) REQUIRES_LOCK(mu_);

  const bool colours_;
  const LogTime began_;
  bool changed_ GUARDED_BY(mu_) = false;
  size_t drawn_ GUARDED_BY(mu_) = 0;  // lines above the cursor
  std::unique_ptr<Ticker> ticker_;    // last: its thread uses the others
};

}  // namespace veneer::build
