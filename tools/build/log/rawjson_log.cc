#include "tools/build/log/rawjson_log.h"

#include <fmt/format.h>

#include <cstdint>
#include <utility>

#include "store/base/digest.h"
#include "tools/go_value.h"
#include "tools/units.h"

namespace veneer::build {
namespace {

using tools::Json;

std::string Base64(std::string_view bytes) {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t at = 0; at < bytes.size(); at += 3) {
    const std::string_view group = bytes.substr(at, 3);
    uint32_t bits = 0;
    for (size_t i = 0; i < 3; ++i)
      bits = bits << 8 | (i < group.size() ? static_cast<unsigned char>(group[i]) : 0U);
    for (size_t i = 0; i < 4; ++i)
      out.push_back(i <= group.size() ? kDigits[bits >> (18 - 6 * i) & 63] : '=');
  }
  return out;
}

std::string Rfc3339(LogTime time) {
  constexpr int64_t kSecond = 1'000'000'000;
  return tools::FormatRfc3339Nano(
      {time.count() / kSecond, static_cast<int32_t>(time.count() % kSecond)});
}

}  // namespace

RawJsonLog::RawJsonLog(int fd, LogClock clock) : VertexLog(fd, std::move(clock), 0) {}

void RawJsonLog::OnAdd(Vertex vertex) { WriteVertex(vertex); }
void RawJsonLog::OnStart(Vertex vertex) { WriteVertex(vertex); }
void RawJsonLog::OnEnd(Vertex vertex) { WriteVertex(vertex); }

void RawJsonLog::OnOutput(Vertex vertex, std::string_view text, bool is_stderr) {
  WriteStatus("logs", {{"vertex", DigestOf(vertex)},
                       {"stream", is_stderr ? 2 : 1},
                       {"data", Base64(text)},
                       {"timestamp", Rfc3339(clock_())}});
}

void RawJsonLog::OnFinish() {
  for (const std::string& warning : warnings_)
    WriteStatus("warnings", {{"level", 1}, {"short", Base64(warning)}});
}

std::string RawJsonLog::DigestOf(Vertex vertex) const {
  return Digest::Of(fmt::format("vertex {}: {}", vertex, vertexes_[vertex].name)).ToString();
}

void RawJsonLog::WriteVertex(Vertex vertex) {
  const VertexRecord& record = vertexes_[vertex];
  Json json = {{"digest", DigestOf(vertex)}, {"name", record.name}};
  if (record.Shown()) json["started"] = Rfc3339(record.started);
  if (record.Ended()) json["completed"] = Rfc3339(record.ended);
  if (record.state == VertexState::kCached) json["cached"] = true;
  if (record.state == VertexState::kFailed) json["error"] = record.error;
  if (record.state == VertexState::kCancelled) json["error"] = "context canceled";
  WriteStatus("vertexes", std::move(json));
}

void RawJsonLog::WriteStatus(const char* key, Json element) {
  Json list = Json::array();
  list.push_back(std::move(element));
  Json status;
  status[key] = std::move(list);
  Write(tools::EncodeJson(status, true) + "\n");
}

}  // namespace veneer::build
