#include "store/image_config.h"

#include <sys/utsname.h>

#include "store/json.h"

namespace veneer {
namespace {

std::string StringAt(const nlohmann::ordered_json& json, const char* key) {
  auto it = json.find(key);
  return it != json.end() && it->is_string() ? it->get<std::string>() : "";
}

}  // namespace

Result<ImageConfig> ImageConfig::Parse(std::string_view raw) {
  ImageConfig config;
  auto json = ParseJson(raw);
  if (!json) return Invalid("the image config is " + json.error().Message());
  config.json = std::move(*json);
  if (!config.json.is_object()) return Invalid("the image config is not a JSON object");
  auto rootfs = config.json.find("rootfs");
  if (rootfs == config.json.end() || !rootfs->is_object()) {
    return Invalid("the image config has no rootfs");
  }
  auto ids = rootfs->find("diff_ids");
  if (ids == rootfs->end() || ids->is_null()) return config;  // an image without layers
  if (!ids->is_array()) return Invalid("the image config's rootfs.diff_ids is not a list");
  for (const auto& id : *ids) {
    if (!id.is_string()) return Invalid("the image config's rootfs.diff_ids holds no digest");
    TRY_ASSIGN(Digest digest, Digest::Parse(id.get<std::string>()));
    config.diff_ids.push_back(DiffId(digest));
  }
  return config;
}

std::string ImageConfig::created() const { return StringAt(json, "created"); }
std::string ImageConfig::os() const { return StringAt(json, "os"); }
std::string ImageConfig::architecture() const { return StringAt(json, "architecture"); }

std::string HostArchitecture() {
  utsname name;
  if (uname(&name) != 0) return "unknown";
  std::string machine = name.machine;
  if (machine == "x86_64") return "amd64";
  if (machine == "aarch64") return "arm64";
  if (machine == "i686" || machine == "i386") return "386";
  if (machine.starts_with("armv")) return "arm";
  return machine;  // riscv64, ppc64le, s390x are the same word
}

}  // namespace veneer
