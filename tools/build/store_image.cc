#include "tools/build/store_image.h"

#include <unistd.h>

#include "tools/image_lookup.h"

namespace veneer::build {
namespace {

std::vector<std::string> Strings(const nlohmann::ordered_json& object, const char* key) {
  std::vector<std::string> out;
  const auto list = object.find(key);
  if (list == object.end() || !list->is_array()) return out;
  for (const auto& element : *list) {
    if (element.is_string()) out.push_back(element.get<std::string>());
  }
  return out;
}

}  // namespace

std::optional<BaseImage> FindBaseImage(tools::Context& context, const std::string& name) {
  const std::string root = context.root.empty() ? Store::DefaultPath() : context.root;
  if (access((root + "/veneer.db").c_str(), R_OK | W_OK) != 0) return std::nullopt;
  const Result<Store*> store = context.OpenStore();
  if (!store) return std::nullopt;
  const Result<tools::ResolvedImage> image = tools::ResolveImage(**store, name);
  if (!image) return std::nullopt;
  const Result<tools::ImageFacts> facts = tools::DescribeImage(**store, image->id);
  if (!facts) return std::nullopt;
  BaseImage out;
  const auto config = facts->config.json.find("config");
  if (config == facts->config.json.end() || !config->is_object()) return out;
  out.env = Strings(*config, "Env");
  out.shell = Strings(*config, "Shell");
  out.on_build = Strings(*config, "OnBuild");
  if (const auto dir = config->find("WorkingDir"); dir != config->end() && dir->is_string())
    out.working_dir = dir->get<std::string>();
  return out;
}

}  // namespace veneer::build
