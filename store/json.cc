#include "store/json.h"

namespace veneer {
namespace {

constexpr int kMaxDepth = 100;

// Exact up to where `text` stops being JSON, which is as far as a parser builds anything.
bool TooDeep(std::string_view text) {
  int depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      if (++depth > kMaxDepth) return true;
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
  return false;
}

}  // namespace

Result<nlohmann::ordered_json> ParseJson(std::string_view text) {
  if (TooDeep(text)) return Invalid("JSON that is nested too deeply", EBADMSG);
  auto json = nlohmann::ordered_json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded()) return Invalid("not valid JSON", EBADMSG);
  return json;
}

std::vector<std::string> StringsAt(const nlohmann::ordered_json& object, const char* key) {
  std::vector<std::string> out;
  const auto list = object.find(key);
  if (list == object.end() || !list->is_array()) return out;
  for (const auto& element : *list) {
    if (element.is_string()) out.push_back(element.get<std::string>());
  }
  return out;
}

}  // namespace veneer
