// What a build shows while it runs: BuildKit's progress on a terminal, its plain log otherwise.
//
// A build is a list of vertexes (steps and what surrounds them), each of which starts, prints, and
// ends. Thread-safe; every call returns at once. Of a vertex' output only the last lines are kept.
// Calls for a vertex that has ended, or after Finish(), do nothing.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "store/base/result.h"

namespace veneer::build {

enum class ProgressMode { kAuto, kPlain, kTty, kRawJson, kQuiet };

// "auto", "plain", "tty", "rawjson", "quiet". EINVAL: none of these.
Result<ProgressMode> ParseProgressMode(std::string_view text);

class BuildLog {
 public:
  using Vertex = size_t;

  // Writes to `fd` (borrowed). kAuto is kTty where that is a terminal, else kPlain. Colours follow
  // NO_COLOR. kQuiet writes nothing but what Finish() says of failures.
  static std::unique_ptr<BuildLog> Create(ProgressMode mode, int fd);
  virtual ~BuildLog() = default;

  // "[stage 2/5] RUN make". Vertexes are numbered from 1 as they are first started (plain: #1), and
  // shown in the order they were added in (tty). One that is never started is not shown.
  virtual Vertex Add(std::string name) = 0;
  virtual void Start(Vertex vertex) = 0;
  virtual void Cached(Vertex vertex) = 0;  // it was found in the cache, and is done; started or not
  virtual void Output(Vertex vertex, std::string_view text, bool is_stderr) = 0;
  virtual void Done(Vertex vertex) = 0;
  virtual void Failed(Vertex vertex, std::string_view error) = 0;
  virtual void Cancelled(Vertex vertex) = 0;
  virtual void Warning(std::string_view text) = 0;  // of the linter: shown at the end, not quiet
  // The end: "[+] Building 1.2s (5/5) FINISHED" on a terminal. What failed is shown again with its
  // last lines of output, as BuildKit does: "------\n > [2/3] RUN false:\n…------".
  virtual void Finish() = 0;
};

}  // namespace veneer::build
