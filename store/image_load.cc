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
#include "store/json.h"
#include "store/legacy_archive.h"

namespace veneer {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kImageNameAnnotation = "io.containerd.image.name";
constexpr const char* kRefNameAnnotation = "org.opencontainers.image.ref.name";
constexpr int kMaxIndexDepth = 8;

constexpr size_t kMaxReferences = 100'000;  // names in one archive

// One image of an archive, matched and verified, ready to be recorded.
struct FoundImage {
  ImageId id;
  std::string config;
  std::vector<DiffId> diff_ids;
  std::vector<const LayerBlob*> layers;
  std::vector<std::string> media_types;  // of the layers, as the manifest gives them; may be empty
  std::vector<std::string> references;   // canonical
  std::string manifest;                  // raw; may be empty
  std::string manifest_media_type;
};

Result<Json> ParseJson(const std::string& path, const std::string& bytes) {
  auto json = veneer::ParseJson(bytes);
  if (!json) return Invalid("'" + path + "' is " + json.error().Message(), EBADMSG);
  return json;
}

std::string Text(const Json& object, const char* key) {
  if (!object.is_object()) return "";
  auto it = object.find(key);
  return it != object.end() && it->is_string() ? it->get<std::string>() : "";
}

// A member of an object; null when there is none.
const Json& Member(const Json& object, const char* key) {
  static const Json null;
  if (!object.is_object()) return null;
  auto it = object.find(key);
  return it != object.end() ? *it : null;
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
      TRY(FindOci(*index));
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
      std::string config_path = Text(item, "Config");
      TRY_ASSIGN(const std::string* config, blobs_.Bytes(config_path));
      if (!config)
        return Invalid("'manifest.json' names the config '" + config_path + "', which is missing",
                       EBADMSG);
      std::vector<LayerSource> layers;
      for (const Json& layer : List(item, "Layers"))
        layers.push_back({layer.is_string() ? layer.get<std::string>() : ""});
      TRY_ASSIGN(size_t image, Add(config_path, *config, layers));
      for (const Json& tag : List(item, "RepoTags")) {
        if (!tag.is_string()) continue;
        TRY_ASSIGN(std::string name, CanonicalName(tag.get<std::string>()));
        TRY(AddName(image, name));
      }
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
      if (!path || !visited_.emplace(*path, std::nullopt).second) continue;
      TRY_ASSIGN(const std::string* raw, blobs_.Bytes(*path));
      if (!raw) continue;
      TRY_ASSIGN(Json manifest, ParseJson(*path, *raw));
      auto config = Digest::Parse(Text(Member(manifest, "config"), "digest"));
      auto image = config ? by_id_.find(ImageId(*config)) : by_id_.end();
      if (image == by_id_.end()) continue;
      images_[image->second].manifest = *raw;
      images_[image->second].manifest_media_type = Text(descriptor, "mediaType");
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
    const Json& told = Member(descriptor, "size");
    if (told.is_null() || (told.is_number_unsigned() && told.get<uint64_t>() == size)) return {};
    std::string text = told.is_number_unsigned() ? std::to_string(told.get<uint64_t>())
                                                 : std::string("what is no size");
    return Invalid(fmt::format("'{}' has {} bytes; its descriptor says {}", path, size, text),
                   EBADMSG);
  }

  bool ForThisHost(const Json& descriptor) const {
    const Json& platform = Member(descriptor, "platform");
    if (platform.is_null()) return true;
    std::string os = Text(platform, "os");
    return (os.empty() || os == "linux") && Text(platform, "architecture") == architecture_;
  }

  // What in an index may be an image: no artifacts, none of BuildKit's attestation manifests.
  static std::vector<const Json*> Candidates(const Json& index) {
    std::vector<const Json*> candidates;
    for (const Json& descriptor : List(index, "manifests")) {
      if (!Text(descriptor, "artifactType").empty()) continue;
      if (Text(Member(descriptor, "platform"), "os") == "unknown") continue;
      candidates.push_back(&descriptor);
    }
    return candidates;
  }

  // The descriptors of index.json, by image: those of one name, or of none, that say different
  // platforms are one image for several.
  static std::vector<std::vector<const Json*>> ByImage(const Json& index) {
    std::vector<std::vector<const Json*>> groups;
    // By name and platform, how many there were; and of a name, where its n-th group is.
    std::map<std::pair<std::string, std::string>, size_t> seen;
    std::map<std::pair<std::string, size_t>, size_t> group_of;
    for (const Json* descriptor : Candidates(index)) {
      const Json& platform = Member(*descriptor, "platform");
      size_t at = groups.size();
      if (!platform.is_null()) {
        std::string name = NameOf(*descriptor);
        std::string words = Text(platform, "os") + "/" + Text(platform, "architecture") + "/" +
                            Text(platform, "variant") + "/" + Text(platform, "os.version");
        size_t n = seen[{name, words}]++;
        at = group_of.emplace(std::pair(name, n), at).first->second;
      }
      if (at == groups.size()) groups.emplace_back();
      groups[at].push_back(descriptor);
    }
    return groups;
  }

  static std::string NameOf(const Json& descriptor) {
    const Json& annotations = Member(descriptor, "annotations");
    std::string name = Text(annotations, kImageNameAnnotation);
    return name.empty() ? Text(annotations, kRefNameAnnotation) : name;
  }

  // The canonical name a descriptor gives, or `inherited`. A ref.name may be a whole reference
  // (skopeo, buildah) or a tag alone (umoci, docker), which names no image.
  static std::string CanonicalNameOf(const Json& descriptor, const std::string& inherited) {
    std::string name = NameOf(descriptor);
    if (name.find_first_of(":/") == name.npos) return inherited;
    auto canonical = CanonicalName(name);
    return canonical ? *canonical : inherited;
  }

  Result<> FindOci(const std::string& bytes) {
    TRY_ASSIGN(Json index, ParseJson("index.json", bytes));
    for (const auto& group : ByImage(index)) TRY(FindOneOf(group, "index.json", "", 0));
    return {};
  }

  // The first image of `descriptors` that the archive holds, this host's first: an archive may hold
  // one platform only. Nothing when what it holds of them is no image.
  Result<std::optional<size_t>> FindOneOf(std::vector<const Json*> descriptors,
                                          const std::string& path, const std::string& name,
                                          int depth) {
    if (depth > kMaxIndexDepth)
      return Invalid("'" + path + "': indexes nested too deeply", EBADMSG);
    std::stable_partition(descriptors.begin(), descriptors.end(),
                          [&](const Json* d) { return ForThisHost(*d); });
    bool any = false;
    for (const Json* descriptor : descriptors) {
      auto blob = BlobPath(*descriptor);
      if (!blob)
        return Invalid("'" + path + "' holds a descriptor without a sha256 digest", EBADMSG);
      TRY_ASSIGN(const std::string* raw, blobs_.Bytes(*blob));
      if (!raw) continue;
      any = true;
      TRY(CheckSize(*descriptor, raw->size(), *blob));
      std::string own = CanonicalNameOf(*descriptor, name);
      TRY_ASSIGN(auto image, FindBlob(*blob, *raw, Text(*descriptor, "mediaType"), own, depth));
      if (!image) continue;
      if (!own.empty()) TRY(AddName(*image, own));
      return image;
    }
    if (any || descriptors.empty()) return std::nullopt;
    return Invalid("'" + path + "' names the manifest '" + *BlobPath(*descriptors.front()) +
                       "', which is missing",
                   EBADMSG);
  }

  // The image a manifest or index stands for. Each is read once, however often it is named.
  Result<std::optional<size_t>> FindBlob(const std::string& path, const std::string& raw,
                                         const std::string& media_type, const std::string& name,
                                         int depth) {
    auto [visited, is_new] = visited_.emplace(path, std::nullopt);
    if (!is_new) return visited->second;
    TRY_ASSIGN(Json manifest, ParseJson(path, raw));
    if (manifest.contains("manifests")) {
      TRY_ASSIGN(visited->second, FindOneOf(Candidates(manifest), path, name, depth + 1));
    } else if (IsImage(manifest)) {
      TRY_ASSIGN(visited->second, FindManifest(manifest, path, raw, media_type));
    }
    return visited->second;
  }

  // Not an OCI artifact: a signature, an SBOM, a chart.
  static bool IsImage(const Json& manifest) {
    if (!Text(manifest, "artifactType").empty()) return false;
    std::string type = Text(Member(manifest, "config"), "mediaType");
    return type.empty() || type == "application/vnd.oci.image.config.v1+json" ||
           type == "application/vnd.docker.container.image.v1+json";
  }

  Result<size_t> FindManifest(const Json& manifest, const std::string& path, const std::string& raw,
                              const std::string& media_type) {
    const Json& descriptor = Member(manifest, "config");
    auto config_path = BlobPath(descriptor);
    if (!config_path) return Invalid("'" + path + "' is not an image manifest", EBADMSG);
    TRY_ASSIGN(const std::string* config, blobs_.Bytes(*config_path));
    if (!config)
      return Invalid("'" + path + "' names the config '" + *config_path + "', which is missing",
                     EBADMSG);
    TRY(CheckSize(descriptor, config->size(), *config_path));
    std::vector<LayerSource> layers;
    for (const Json& layer : List(manifest, "layers")) {
      auto layer_path = BlobPath(layer);
      if (!layer_path)
        return Invalid("'" + path + "' holds a layer without a sha256 digest", EBADMSG);
      layers.push_back({*layer_path, Text(layer, "mediaType"), &layer});
    }
    TRY_ASSIGN(size_t image, Add(*config_path, *config, layers));
    if (images_[image].manifest.empty()) {
      images_[image].manifest = raw;
      images_[image].manifest_media_type = media_type;
    }
    return image;
  }

  // ---- docker before 1.10 ----
  Result<> FindLegacy(const std::string& repositories) {
    TRY_ASSIGN(std::vector<LegacyImage> found, ReadLegacyArchive(blobs_, repositories));
    for (const LegacyImage& legacy : found) {
      std::vector<DiffId> diff_ids;
      std::vector<LayerSource> layers;
      for (const std::string& path : legacy.layer_paths) {
        TRY_ASSIGN(const LayerBlob* layer, FindLayer(path));
        diff_ids.push_back(layer->diff_id);
        layers.push_back({path});
      }
      TRY_ASSIGN(std::string config, LegacyConfig(legacy, diff_ids));
      TRY_ASSIGN(size_t image, Add(legacy.top, config, layers));
      for (const std::string& name : legacy.names) {
        TRY_ASSIGN(std::string canonical, CanonicalName(name));
        TRY(AddName(image, canonical));
      }
    }
    return {};
  }

  // ---- common ----
  struct LayerSource {
    std::string path;
    std::string media_type = {};
    const Json* descriptor = nullptr;  // may be null
  };

  Result<const LayerBlob*> FindLayer(const std::string& path) {
    TRY_ASSIGN(const LayerBlob* layer, blobs_.Layer(path));
    if (!layer) return Invalid("the layer '" + path + "' is missing", EBADMSG);
    return layer;
  }

  // Verifies an image and keeps it, once however often it is named: its place in images_.
  Result<size_t> Add(const std::string& config_path, const std::string& config,
                     const std::vector<LayerSource>& sources) {
    FoundImage fresh;
    auto known = by_config_.find(config_path);
    if (known == by_config_.end()) {
      TRY(CheckConfigName(config_path, config));
      auto parsed = ImageConfig::Parse(config);
      if (!parsed) return Invalid("'" + config_path + "': " + parsed.error().Message(), EBADMSG);
      fresh.id = ImageConfig::IdOf(config);
      fresh.diff_ids = std::move(parsed->diff_ids);
    }
    const auto& ids = known == by_config_.end() ? fresh.diff_ids : images_[known->second].diff_ids;
    if (ids.size() != sources.size()) {
      return Invalid(fmt::format("'{}' lists {} layers, the manifest {}", config_path, ids.size(),
                                 sources.size()),
                     EBADMSG);
    }
    for (size_t i = 0; i < ids.size(); ++i) {
      TRY_ASSIGN(const LayerBlob* layer, FindLayer(sources[i].path));
      if (sources[i].descriptor)
        TRY(CheckSize(*sources[i].descriptor, layer->size, sources[i].path));
      if (ids[i] != layer->diff_id) {
        return Invalid(fmt::format("layer {} has DiffID {}, but the config says {}", i + 1,
                                   layer->diff_id.ToString(), ids[i].ToString()),
                       EBADMSG);
      }
      if (known != by_config_.end()) continue;
      fresh.layers.push_back(layer);
      fresh.media_types.push_back(sources[i].media_type);
    }
    if (known != by_config_.end()) return known->second;
    size_t image = by_id_.emplace(fresh.id, images_.size()).first->second;
    by_config_.emplace(config_path, image);
    if (image == images_.size()) {
      fresh.config = config;
      images_.push_back(std::move(fresh));
    }
    return image;
  }

  Result<> AddName(size_t image, const std::string& name) {
    if (!named_.emplace(image, name).second) return {};
    if (named_.size() > kMaxReferences) return Invalid("it names too many images", EFBIG);
    images_[image].references.push_back(name);
    return {};
  }

  Result<> RecordOne(const FoundImage& image) {
    Catalog& catalog = session_.store().catalog();
    const ImageId& id = image.id;
    TRY(catalog.PutImage({id, image.config, std::time(nullptr)}, image.diff_ids));
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
      (void)session_.store().chains().Open(image.diff_ids);
      loaded.push_back({image.id, image.references});
    }
    return loaded;
  }

  IngestSession& session_;
  ImageBlobs& blobs_;
  std::string architecture_;
  std::vector<FoundImage> images_;
  std::map<ImageId, size_t> by_id_;          // places in images_
  std::map<std::string, size_t> by_config_;  // the same, by the config's path
  std::set<std::pair<size_t, std::string>> named_;
  std::map<std::string, std::optional<size_t>> visited_;  // manifests and indexes, by path
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
