#include "tools/build/output/result_files.h"

#include "store/base/beneath.h"
#include "store/image_save.h"
#include "tools/build/language/text.h"
#include "tools/output_file.h"

namespace veneer::build {
namespace {

Result<> WriteWhole(const std::string& path, const std::string& text) {
  TRY_ASSIGN(tools::OutputFile file, tools::OutputFile::Open(path));
  auto written = WriteAll(file.fd(), text);
  if (!written)
    return Invalid("cannot write '" + path + "': " + written.error().Message(),
                   written.error().code());
  return file.Commit();
}

}  // namespace

Result<> WriteImageIdFile(const std::string& path, const ImageId& image) {
  return WriteWhole(path, image.ToString());
}

Result<nlohmann::json> BuildMetadata(Store& store, const BuildResult& result,
                                     const std::vector<OutputSpec>& outputs) {
  nlohmann::json metadata = nlohmann::json::object();
  std::vector<std::string> names;
  for (const OutputSpec& output : outputs) {
    const bool is_saved = output.kind == OutputKind::kOci || output.kind == OutputKind::kDocker;
    if (!is_saved && output.kind != OutputKind::kImage) continue;
    metadata["containerimage.config.digest"] = result.image.ToString();
    names = NamesIn(result, output);
    if (!names.empty()) metadata["image.name"] = Join(names, ",");
    if (is_saved) {
      const SaveItem item{result.image, names, result.config};
      TRY_ASSIGN(const std::string manifest, ManifestOf(store, item));
      const std::string digest = Digest::Of(manifest).ToString();
      metadata["containerimage.descriptor"] = {
          {"mediaType", kSavedManifestType}, {"digest", digest}, {"size", manifest.size()}};
      metadata["containerimage.digest"] = digest;
    } else if (!metadata.contains("containerimage.digest")) {
      metadata["containerimage.digest"] = result.image.ToString();
    }
  }
  return metadata;
}

Result<> WriteMetadataFile(const std::string& path, const nlohmann::json& metadata) {
  return WriteWhole(path, metadata.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
}

}  // namespace veneer::build
