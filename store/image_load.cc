#include "store/image_load.h"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <map>
#include <optional>
#include <set>

#include "store/image_blobs.h"
#include "store/image_config.h"
#include "store/image_reference.h"
#include "store/ingest.h"
#include "store/legacy_archive.h"

namespace veneer {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kImageNameAnnotation = "io.containerd.image.name";
constexpr const char* kRefNameAnnotation = "org.opencontainers.image.ref.name";
constexpr int kMaxIndexDepth = 8;

// One image of an archive, matched and verified, ready to be recorded.
struct FoundImage {
  std::string config;
  ImageConfig parsed;
  std::vector<const LayerBlob*> layers;
  std::vector<std::string> media_types;  // of the layers, as the manifest gives them; may be empty
  std::vector<std::string> references;   // canonical
  std::string manifest;                  // raw; may be empty
  std::string manifest_media_type;
};

Result<Json> ParseJson(const std::string& path, const std::string& bytes) {
  Json json = Json::parse(bytes, nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded()) return Invalid("'" + path + "' is not valid JSON", EBADMSG);
  return json;
}

std::string Text(const Json& object, const char* key) {
  if (!object.is_object()) return "";
  auto it = object.find(key);
  return it != object.end() && it->is_string() ? it->get<std::string>() : "";
}

const Json& List(const Json& object, const char* key) {
  static const Json empty = Json::array();
  if (!object.is_object()) return empty;
  auto it = object.find(key);
  return it != object.end() && it->is_array() ? *it : empty;
}

Result<std::string> CanonicalName(const std::string& name) {
  TRY_ASSIGN(ImageReference reference, ImageReference::Parse(name));
  return reference.Canonical();
}

class Loader {
 public:
  Loader(IngestSession& session, ImageBlobs& blobs, const LoadOptions& options)
      : session_(session),
        blobs_(blobs),
        architecture_(options.architecture.empty() ? HostArchitecture() : options.architecture) {}

  Result<std::vector<LoadedImage>> Load() {
    TRY_ASSIGN(const std::string* docker, blobs_.Bytes("manifest.json"));
    TRY_ASSIGN(const std::string* index, blobs_.Bytes("index.json"));
    TRY_ASSIGN(const std::string* legacy, blobs_.Bytes("repositories"));
    if (docker) {
      TRY(FindDocker(*docker));
      if (index) TRY(KeepManifests(*index));
    } else if (index) {
      TRY_ASSIGN(Json json, ParseJson("index.json", *index));
      TRY(FindInIndex(json, "index.json", {}, 0));
    } else if (legacy) {
      TRY(FindLegacy(*legacy));
    } else {
      return Invalid("no manifest.json, index.json or repositories in it: not an image archive",
                     EBADMSG);
    }
    if (images_.empty()) return Invalid("it holds no image", EBADMSG);
    return Record();
  }

 private:
  // ---- docker-archive ----
  Result<> FindDocker(const std::string& bytes) {
    TRY_ASSIGN(Json manifest, ParseJson("manifest.json", bytes));
    if (!manifest.is_array()) return Invalid("'manifest.json' is not a list", EBADMSG);
    for (const Json& item : manifest) {
      FoundImage image;
      std::string config_path = Text(item, "Config");
      TRY_ASSIGN(const std::string* config, blobs_.Bytes(config_path));
      if (!config)
        return Invalid("'manifest.json' names the config '" + config_path + "', which is missing",
                       EBADMSG);
      TRY(CheckConfigName(config_path, *config));
      for (const Json& layer : List(item, "Layers")) {
        std::string path = layer.is_string() ? layer.get<std::string>() : "";
        TRY(AddLayer(image, path, ""));
      }
      for (const Json& tag : List(item, "RepoTags")) {
        if (!tag.is_string()) continue;
        TRY_ASSIGN(std::string name, CanonicalName(tag.get<std::string>()));
        image.references.push_back(std::move(name));
      }
      TRY(Add(std::move(image), config_path, *config));
    }
    return {};
  }

  // "<hex>.json" as docker before 25 and podman name it is the image ID.
  static Result<> CheckConfigName(const std::string& path, const std::string& config) {
    std::string_view name(path);
    if (size_t slash = name.rfind('/'); slash != name.npos) name.remove_prefix(slash + 1);
    if (name.ends_with(".json")) name.remove_suffix(5);
    auto promised = Digest::ParseHex(name);
    if (promised && *promised != Digest::Of(config)) {
      return Invalid("'" + path + "': content has digest " + Digest::Of(config).ToString() +
                         ", not the one it is named by",
                     EBADMSG);
    }
    return {};
  }

  // Docker's newer archives are OCI layouts too: the manifests in them are worth keeping for a
  // later push.
  Result<> KeepManifests(const std::string& bytes) {
    TRY_ASSIGN(Json index, ParseJson("index.json", bytes));
    for (const Json& descriptor : List(index, "manifests")) {
      auto path = BlobPath(descriptor);
      if (!path) continue;
      TRY_ASSIGN(const std::string* raw, blobs_.Bytes(*path));
      if (!raw) continue;
      TRY_ASSIGN(Json manifest, ParseJson(*path, *raw));
      auto config = manifest.find("config");
      if (config == manifest.end()) continue;
      for (FoundImage& image : images_) {
        if (Text(*config, "digest") != ImageConfig::IdOf(image.config).ToString()) continue;
        image.manifest = *raw;
        image.manifest_media_type = Text(descriptor, "mediaType");
      }
    }
    return {};
  }

  // ---- OCI ----
  static std::optional<std::string> BlobPath(const Json& descriptor) {
    auto digest = Digest::Parse(Text(descriptor, "digest"));
    if (!digest) return std::nullopt;
    return "blobs/sha256/" + digest->Hex();
  }

  static Result<> CheckSize(const Json& descriptor, uint64_t size, const std::string& path) {
    auto it = descriptor.find("size");
    if (it == descriptor.end()) return {};
    if (it->is_number_unsigned() && it->get<uint64_t>() == size) return {};
    return Invalid(fmt::format("'{}' has {} bytes; its descriptor says {}", path, size, it->dump()),
                   EBADMSG);
  }

  bool ForThisHost(const Json& descriptor) const {
    auto platform = descriptor.find("platform");
    if (platform == descriptor.end()) return true;
    std::string os = Text(*platform, "os");
    return (os.empty() || os == "linux") && Text(*platform, "architecture") == architecture_;
  }

  // Of an index's descriptors: those for this host's platform where any is, else all that are not
  // attestations.
  std::vector<const Json*> Choose(const Json& index) const {
    std::vector<const Json*> all, ours;
    for (const Json& descriptor : List(index, "manifests")) {
      if (auto platform = descriptor.find("platform");
          platform != descriptor.end() && Text(*platform, "os") == "unknown") {
        continue;  // BuildKit's attestation manifests
      }
      all.push_back(&descriptor);
      if (ForThisHost(descriptor)) ours.push_back(&descriptor);
    }
    return ours.empty() ? all : ours;
  }

  static Result<std::vector<std::string>> NamesOf(const Json& descriptor) {
    std::vector<std::string> names;
    auto annotations = descriptor.find("annotations");
    if (annotations == descriptor.end()) return names;
    std::string name = Text(*annotations, kImageNameAnnotation);
    // A ref.name may be a whole reference (skopeo, buildah) or a tag alone (umoci, docker), which
    // names no image.
    if (name.empty()) name = Text(*annotations, kRefNameAnnotation);
    if (name.find_first_of(":/") == name.npos) return names;
    if (auto canonical = CanonicalName(name)) names.push_back(*canonical);
    return names;
  }

  Result<> FindInIndex(const Json& index, const std::string& path,
                       const std::vector<std::string>& names, int depth) {
    if (depth > kMaxIndexDepth)
      return Invalid("'" + path + "': indexes nested too deeply", EBADMSG);
    std::vector<const Json*> chosen = Choose(index);
    // Below a named index there is one image, the first that is for us.
    if (depth > 0 && chosen.size() > 1) chosen.resize(1);
    for (const Json* descriptor : chosen) {
      TRY_ASSIGN(std::vector<std::string> own, NamesOf(*descriptor));
      if (own.empty()) own = names;
      auto blob = BlobPath(*descriptor);
      if (!blob)
        return Invalid("'" + path + "' holds a descriptor without a sha256 digest", EBADMSG);
      TRY_ASSIGN(const std::string* raw, blobs_.Bytes(*blob));
      if (!raw) {
        // An archive may hold one platform of a multi-platform index only.
        if (depth > 0) continue;
        return Invalid("'" + path + "' names the manifest '" + *blob + "', which is missing",
                       EBADMSG);
      }
      TRY(CheckSize(*descriptor, raw->size(), *blob));
      TRY_ASSIGN(Json manifest, ParseJson(*blob, *raw));
      if (manifest.contains("manifests")) {
        TRY(FindInIndex(manifest, *blob, own, depth + 1));
      } else {
        TRY(FindManifest(manifest, *blob, *raw, Text(*descriptor, "mediaType"), own));
      }
    }
    return {};
  }

  Result<> FindManifest(const Json& manifest, const std::string& path, const std::string& raw,
                        const std::string& media_type, const std::vector<std::string>& names) {
    auto config_descriptor = manifest.find("config");
    auto config_path =
        config_descriptor == manifest.end() ? std::nullopt : BlobPath(*config_descriptor);
    if (!config_path) return Invalid("'" + path + "' is not an image manifest", EBADMSG);
    TRY_ASSIGN(const std::string* config, blobs_.Bytes(*config_path));
    if (!config)
      return Invalid("'" + path + "' names the config '" + *config_path + "', which is missing",
                     EBADMSG);
    TRY(CheckSize(*config_descriptor, config->size(), *config_path));
    FoundImage image;
    image.references = names;
    image.manifest = raw;
    image.manifest_media_type = media_type;
    for (const Json& layer : List(manifest, "layers")) {
      auto layer_path = BlobPath(layer);
      if (!layer_path)
        return Invalid("'" + path + "' holds a layer without a sha256 digest", EBADMSG);
      TRY(AddLayer(image, *layer_path, Text(layer, "mediaType")));
      TRY(CheckSize(layer, image.layers.back()->size, *layer_path));
    }
    return Add(std::move(image), *config_path, *config);
  }

  // ---- docker before 1.10 ----
  Result<> FindLegacy(const std::string& repositories) {
    TRY_ASSIGN(std::vector<LegacyImage> found, ReadLegacyArchive(blobs_, repositories));
    for (const LegacyImage& legacy : found) {
      FoundImage image;
      for (const std::string& path : legacy.layer_paths) TRY(AddLayer(image, path, ""));
      for (const std::string& name : legacy.names) {
        TRY_ASSIGN(std::string canonical, CanonicalName(name));
        image.references.push_back(std::move(canonical));
      }
      std::vector<DiffId> diff_ids;
      for (const LayerBlob* layer : image.layers) diff_ids.push_back(layer->diff_id);
      TRY_ASSIGN(std::string config, LegacyConfig(legacy, diff_ids));
      TRY(Add(std::move(image), "repositories", config));
    }
    return {};
  }

  // ---- common ----
  Result<> AddLayer(FoundImage& image, const std::string& path, const std::string& media_type) {
    TRY_ASSIGN(const LayerBlob* layer, blobs_.Layer(path));
    if (!layer) return Invalid("the layer '" + path + "' is missing", EBADMSG);
    image.layers.push_back(layer);
    image.media_types.push_back(media_type);
    return {};
  }

  Result<> Add(FoundImage image, const std::string& config_path, const std::string& config) {
    auto parsed = ImageConfig::Parse(config);
    if (!parsed) return Invalid("'" + config_path + "': " + parsed.error().Message(), EBADMSG);
    const auto& ids = parsed->diff_ids;
    if (ids.size() != image.layers.size()) {
      return Invalid(fmt::format("'{}' lists {} layers, the manifest {}", config_path, ids.size(),
                                 image.layers.size()),
                     EBADMSG);
    }
    for (size_t i = 0; i < ids.size(); ++i) {
      if (ids[i] == image.layers[i]->diff_id) continue;
      return Invalid(fmt::format("layer {} has DiffID {}, but the config says {}", i + 1,
                                 image.layers[i]->diff_id.ToString(), ids[i].ToString()),
                     EBADMSG);
    }
    image.config = config;
    image.parsed = std::move(*parsed);
    images_.push_back(std::move(image));
    return {};
  }

  Result<> RecordOne(const FoundImage& image) {
    Catalog& catalog = session_.store().catalog();
    ImageId id = ImageConfig::IdOf(image.config);
    TRY(catalog.PutImage({id, image.config, std::time(nullptr)}, image.parsed.diff_ids));
    for (size_t i = 0; i < image.layers.size(); ++i) {
      const LayerBlob& layer = *image.layers[i];
      TRY(catalog.PutBlob({layer.digest, static_cast<int64_t>(layer.size), layer.diff_id,
                           std::string(CompressionName(layer.compression)), image.media_types[i]}));
    }
    if (!image.manifest.empty()) {
      TRY(catalog.PutManifest(
          {Digest::Of(image.manifest), id, image.manifest_media_type, image.manifest}));
    }
    for (const std::string& name : image.references) TRY(catalog.SetReference(name, id));
    return {};
  }

  Result<std::vector<LoadedImage>> Record() {
    std::vector<StagedLayer> staged;
    std::set<DiffId> seen;
    for (const FoundImage& image : images_) {
      for (const LayerBlob* layer : image.layers) {
        if (layer->staged && seen.insert(layer->diff_id).second) staged.push_back(*layer->staged);
      }
    }
    TRY(session_.Publish(staged, [&]() -> Result<> {
      for (const FoundImage& image : images_) TRY(RecordOne(image));
      return {};
    }));
    std::vector<LoadedImage> loaded;
    for (const FoundImage& image : images_) {
      // The merged tree is made now, while the layers are in memory; it is a cache, so its absence
      // is no failure.
      (void)session_.store().chains().Open(image.parsed.diff_ids);
      loaded.push_back({ImageConfig::IdOf(image.config), image.references});
    }
    return loaded;
  }

  IngestSession& session_;
  ImageBlobs& blobs_;
  std::string architecture_;
  std::vector<FoundImage> images_;
};

}  // namespace

Result<std::vector<LoadedImage>> LoadArchive(Store& store, int fd, const LoadOptions& options) {
  TRY_ASSIGN(auto session, IngestSession::Begin(store));
  TRY_ASSIGN(auto blobs, ImageBlobs::FromArchive(*session, fd, options.on_bytes));
  return Loader(*session, *blobs, options).Load();
}

Result<std::vector<LoadedImage>> LoadLayout(Store& store, const std::string& directory,
                                            const LoadOptions& options) {
  TRY_ASSIGN(auto session, IngestSession::Begin(store));
  TRY_ASSIGN(auto blobs, ImageBlobs::FromDirectory(*session, directory, options.on_bytes));
  return Loader(*session, *blobs, options).Load();
}

}  // namespace veneer
