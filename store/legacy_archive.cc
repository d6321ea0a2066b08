#include "store/legacy_archive.h"

#include <algorithm>
#include <map>
#include <set>

#include "store/json.h"

namespace veneer {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kMaxLegacyLayers = 1000;
constexpr size_t kMaxLegacyBytes = 256 << 20;  // of v1 JSON along the chains of all images

std::string Text(const Json& object, const char* key) {
  auto it = object.find(key);
  return it != object.end() && it->is_string() ? it->get<std::string>() : "";
}

bool IsThrowaway(const Json& v1) {
  auto it = v1.find("throwaway");
  return it != v1.end() && it->is_boolean() && it->get<bool>();
}

Json HistoryOf(const Json& v1) {
  Json entry = Json::object();
  auto created = Text(v1, "created");
  entry["created"] = created.empty() ? "0001-01-01T00:00:00Z" : created;  // Go's zero time
  if (auto author = Text(v1, "author"); !author.empty()) entry["author"] = author;
  auto container_config = v1.find("container_config");
  if (container_config != v1.end() && container_config->is_object()) {
    auto cmd = container_config->find("Cmd");
    if (cmd != container_config->end() && cmd->is_array()) {
      std::string line;
      for (const Json& word : *cmd) {
        if (word.is_string()) line += (line.empty() ? "" : " ") + word.get<std::string>();
      }
      if (!line.empty()) entry["created_by"] = line;
    }
  }
  if (auto comment = Text(v1, "comment"); !comment.empty()) entry["comment"] = comment;
  if (IsThrowaway(v1)) entry["empty_layer"] = true;
  return entry;
}

// What Go's json.Marshal escapes beyond JSON's own rules.
std::string EscapeAsGo(const std::string& json) {
  std::string out;
  out.reserve(json.size());
  for (size_t i = 0; i < json.size(); ++i) {
    if (json[i] == '<') {
      out += "\\u003c";
    } else if (json[i] == '>') {
      out += "\\u003e";
    } else if (json[i] == '&') {
      out += "\\u0026";
    } else if (json.compare(i, 3, "\u2028") == 0 || json.compare(i, 3, "\u2029") == 0) {
      out += json[i + 2] == '\xa8' ? "\\u2028" : "\\u2029";
      i += 2;
    } else {
      out += json[i];
    }
  }
  return out;
}

}  // namespace

Result<std::vector<LegacyImage>> ReadLegacyArchive(ImageBlobs& blobs,
                                                   const std::string& repositories) {
  auto parsed = ParseJson(repositories);
  if (!parsed) return Invalid("'repositories' is " + parsed.error().Message(), EBADMSG);
  const Json& json = *parsed;
  if (!json.is_object()) return Invalid("'repositories' is not a JSON object", EBADMSG);
  std::map<std::string, LegacyImage> by_id;
  for (const auto& [name, tags] : json.items()) {
    if (!tags.is_object())
      return Invalid("'repositories': the tags of '" + name + "' are no object", EBADMSG);
    for (const auto& [tag, id] : tags.items()) {
      if (id.is_string()) by_id[id.get<std::string>()].names.push_back(name + ":" + tag);
    }
  }
  std::vector<LegacyImage> images;
  size_t walked = 0;
  for (auto& [top, image] : by_id) {
    image.top = top + "/json";
    std::set<std::string> seen;
    for (std::string id = top; !id.empty();) {
      if (!seen.insert(id).second || seen.size() > kMaxLegacyLayers) {
        return Invalid("the parents of '" + top + "' have no end", EBADMSG);
      }
      TRY_ASSIGN(const std::string* v1, blobs.Bytes(id + "/json"));
      if (!v1) return Invalid("'" + id + "/json' is missing", EBADMSG);
      walked += v1->size() + id.size();
      if (walked > kMaxLegacyBytes) return Invalid("its images have too many parents", EFBIG);
      auto image_json = ParseJson(*v1);
      if (!image_json)
        return Invalid("'" + id + "/json' is " + image_json.error().Message(), EBADMSG);
      if (!image_json->is_object())
        return Invalid("'" + id + "/json' is not a JSON object", EBADMSG);
      image.v1_json.push_back(v1);
      if (!IsThrowaway(*image_json)) image.layer_paths.push_back(id + "/layer.tar");
      id = Text(*image_json, "parent");
    }
    std::reverse(image.v1_json.begin(), image.v1_json.end());
    std::reverse(image.layer_paths.begin(), image.layer_paths.end());
    images.push_back(std::move(image));
  }
  return images;
}

Result<std::string> LegacyConfig(const LegacyImage& image, const std::vector<DiffId>& diff_ids) {
  TRY_ASSIGN(Json config, ParseJson(*image.v1_json.back()));
  for (const char* key : {"id", "parent", "Size", "parent_id", "layer_id", "throwaway"})
    config.erase(key);
  Json ids = Json::array(), history = Json::array();
  for (const DiffId& id : diff_ids) ids.push_back(id.ToString());
  for (const std::string* text : image.v1_json) {
    TRY_ASSIGN(Json v1, ParseJson(*text));
    history.push_back(HistoryOf(v1));
  }
  config["rootfs"] = {{"type", "layers"}, {"diff_ids", ids}};
  config["history"] = history;
  // Docker marshals a map of raw values: its keys sorted, the order inside them kept.
  std::map<std::string, Json> sorted;
  for (auto& [key, value] : config.items()) sorted.emplace(key, std::move(value));
  return EscapeAsGo(Json(sorted).dump());
}

}  // namespace veneer
