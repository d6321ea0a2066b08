#include "tools/build/store_image.h"

#include <unistd.h>

#include <utility>
#include <vector>

#include "store/image_config.h"
#include "store/json.h"
#include "tools/image_lookup.h"

namespace veneer::build {
Result<BaseImage> ReadBaseImage(Store& store, const ImageId& id) {
  TRY_ASSIGN(auto row, store.catalog().FindImage(id));
  if (!row) return Invalid("No such image: " + id.ToString(), ENOENT);
  TRY_ASSIGN(const ImageConfig parsed, ImageConfig::Parse(row->config));
  BaseImage out;
  out.config = std::move(row->config);
  out.layers = parsed.diff_ids;
  const auto config = parsed.json.find("config");
  if (config == parsed.json.end() || !config->is_object()) return out;
  out.env = StringsAt(*config, "Env");
  out.shell = StringsAt(*config, "Shell");
  out.on_build = StringsAt(*config, "OnBuild");
  if (const auto dir = config->find("WorkingDir"); dir != config->end() && dir->is_string())
    out.working_dir = dir->get<std::string>();
  return out;
}

std::optional<BaseImage> FindBaseImage(tools::Context& context, const std::string& name) {
  const std::string root = context.root.empty() ? Store::DefaultPath() : context.root;
  if (access((root + "/veneer.db").c_str(), R_OK | W_OK) != 0) return std::nullopt;
  const Result<Store*> store = context.OpenStore();
  if (!store) return std::nullopt;
  const Result<tools::ResolvedImage> image = tools::ResolveImage(**store, name);
  if (!image) return std::nullopt;
  Result<BaseImage> found = ReadBaseImage(**store, image->id);
  if (!found) return std::nullopt;
  return std::move(*found);
}

}  // namespace veneer::build
