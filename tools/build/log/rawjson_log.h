// RawJsonLog: BuildKit's client.SolveStatus, one JSON object a line.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "tools/build/log/vertex_log.h"

namespace veneer::build {

class RawJsonLog final : public VertexLog {
 public:
  RawJsonLog(int fd, LogClock clock);

 private:
  void OnAdd(Vertex vertex) REQUIRES_LOCK(mu_) override;
  void OnStart(Vertex vertex) REQUIRES_LOCK(mu_) override;
  void OnOutput(Vertex vertex, std::string_view text, bool is_stderr) REQUIRES_LOCK(mu_) override;
  void OnEnd(Vertex vertex) REQUIRES_LOCK(mu_) override;
  void OnFinish() REQUIRES_LOCK(mu_) override;

  // Of vertexes of one build, no two have the same; builds of one file have the same ones.
  std::string DigestOf(Vertex vertex) const REQUIRES_LOCK(mu_);
  void WriteVertex(Vertex vertex) REQUIRES_LOCK(mu_);
  void WriteStatus(const char* key, nlohmann::ordered_json element);
};

}  // namespace veneer::build
