#include "store/image_save.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>

#include "store/image_config.h"
#include "store/image_reference.h"
#include "store/json.h"
#include "store/layout_target.h"
#include "store/lease.h"

namespace veneer {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kIndexType = "application/vnd.oci.image.index.v1+json";
constexpr const char* kConfigType = "application/vnd.oci.image.config.v1+json";
constexpr const char* kLayerType = "application/vnd.oci.image.layer.v1.tar";
constexpr const char* kImageName = "io.containerd.image.name";
constexpr const char* kRefName = "org.opencontainers.image.ref.name";
constexpr const char* kLayoutFile = "oci-layout";
constexpr const char* kIndexFile = "index.json";
constexpr const char* kBlobs = "blobs/sha256";

std::string BlobPath(const Digest& digest) { return std::string(kBlobs) + "/" + digest.Hex(); }

// Text of an image's config may be any bytes; what is not UTF-8 in a platform is of no use here.
std::string Dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Json Descriptor(const char* media_type, const Digest& digest, uint64_t size) {
  return {{"mediaType", media_type}, {"digest", digest.ToString()}, {"size", size}};
}

// One image of the archive: its blobs, and how it is called.
struct SavedImage {
  ImageId id;
  std::vector<ImageReference> references;
  std::vector<LayerRow> layers;  // lowest first
  std::string config;
  std::string manifest;
  Json platform;  // null when the config does not say
};

struct Blob {
  std::string bytes;              // a config or a manifest,
  std::optional<LayerRow> layer;  // or a layer
};

Result<std::string> ConfigOf(Store& store, const SaveItem& item) {
  if (!item.config.empty()) return item.config;
  TRY_ASSIGN(auto row, store.catalog().FindImage(item.image));
  if (!row) return Fail(ENOENT, "image " + item.image.ToString());
  return std::move(row->config);
}

Result<SavedImage> Describe(Store& store, const SaveItem& item) {
  SavedImage image;
  image.id = item.image;
  TRY_ASSIGN(image.config, ConfigOf(store, item));
  TRY_ASSIGN(ImageConfig config, ImageConfig::Parse(image.config));
  Json descriptors = Json::array();
  for (const DiffId& layer : config.diff_ids) {
    TRY_ASSIGN(auto found, store.catalog().FindLayer(layer));
    if (!found) return Invalid("layer " + layer.ToString() + " is missing from the store", EBADMSG);
    image.layers.push_back(*found);
    descriptors.push_back(
        Descriptor(kLayerType, layer.digest, static_cast<uint64_t>(found->tar_size)));
  }
  image.manifest = Dump({{"schemaVersion", 2},
                         {"mediaType", kSavedManifestType},
                         {"config", Descriptor(kConfigType, image.id.digest, image.config.size())},
                         {"layers", std::move(descriptors)}});
  if (!config.architecture().empty() && !config.os().empty()) {
    image.platform = {{"architecture", config.architecture()}, {"os", config.os()}};
    auto variant = config.json.find("variant");
    if (variant != config.json.end() && variant->is_string()) image.platform["variant"] = *variant;
  }
  return image;
}

// Items of one image become one, with the references of all.
Result<std::vector<SavedImage>> Describe(Store& store, std::span<const SaveItem> items) {
  std::vector<SavedImage> images;
  for (const SaveItem& item : items) {
    auto image = std::find_if(images.begin(), images.end(),
                              [&](const SavedImage& i) { return i.id == item.image; });
    if (image == images.end()) {
      TRY_ASSIGN(SavedImage described, Describe(store, item));
      image = images.insert(images.end(), std::move(described));
    }
    for (const std::string& name : item.references) {
      TRY_ASSIGN(ImageReference reference, ImageReference::Parse(name));
      if (reference.digest()) continue;  // not a name that loading could give it
      if (std::ranges::find(image->references, reference) == image->references.end())
        image->references.push_back(std::move(reference));
    }
  }
  return images;
}

// The entries of index.json: one for each reference, or one without annotations. With `full_names`
// org.opencontainers.image.ref.name is the whole canonical name, so that entries can be told apart.
std::vector<Json> IndexEntries(const std::vector<SavedImage>& images, bool full_names) {
  std::vector<Json> entries;
  for (const SavedImage& image : images) {
    Json entry = Descriptor(kSavedManifestType, Digest::Of(image.manifest), image.manifest.size());
    if (image.references.empty()) {
      if (!image.platform.is_null()) entry["platform"] = image.platform;
      entries.push_back(std::move(entry));
      continue;
    }
    for (const ImageReference& reference : image.references) {
      Json named = entry;
      named["annotations"] = {
          {kImageName, reference.Canonical()},
          {kRefName, full_names ? reference.Canonical() : reference.tag()},
      };
      if (!image.platform.is_null()) named["platform"] = image.platform;
      entries.push_back(std::move(named));
    }
  }
  return entries;
}

std::string Index(const std::vector<Json>& entries) {
  return Dump({{"schemaVersion", 2}, {"mediaType", kIndexType}, {"manifests", entries}});
}

// manifest.json, what Docker before 25 and podman's docker-archive read.
std::string DockerManifest(const std::vector<SavedImage>& images) {
  Json list = Json::array();
  for (const SavedImage& image : images) {
    Json tags, layers = Json::array();
    std::map<std::string, Json> sources;
    for (const ImageReference& reference : image.references) tags.push_back(reference.Familiar());
    for (const LayerRow& row : image.layers) {
      const Digest& digest = row.diff_id.digest;
      layers.push_back(BlobPath(digest));
      sources[digest.ToString()] =
          Descriptor(kLayerType, digest, static_cast<uint64_t>(row.tar_size));
    }
    Json item = {{"Config", BlobPath(image.id.digest)},
                 {"RepoTags", std::move(tags)},
                 {"Layers", std::move(layers)}};
    if (!sources.empty()) item["LayerSources"] = sources;
    list.push_back(std::move(item));
  }
  return Dump(list) + "\n";
}

// repositories, what Docker before 1.10 read; empty without names.
std::string Repositories(const std::vector<SavedImage>& images) {
  std::map<std::string, std::map<std::string, std::string>> repositories;
  for (const SavedImage& image : images) {
    if (image.layers.empty()) continue;
    for (const ImageReference& reference : image.references)
      repositories[reference.FamiliarName()][reference.tag()] = image.layers.back().diff_id.Hex();
  }
  return repositories.empty() ? std::string() : Dump(repositories) + "\n";
}

Result<> WriteBlobs(Store& store, std::vector<SavedImage>& images, LayoutTarget& target) {
  std::map<Digest, Blob> blobs;  // by digest: what images share goes out once, in docker's order
  for (SavedImage& image : images) {
    blobs[image.id.digest].bytes = image.config;
    blobs[Digest::Of(image.manifest)].bytes = image.manifest;
    for (const LayerRow& row : image.layers) blobs[row.diff_id.digest].layer = row;
  }
  TRY(target.Directory("blobs"));
  TRY(target.Directory(kBlobs));
  for (const auto& [digest, blob] : blobs) {
    if (!blob.layer) {
      TRY(target.File(BlobPath(digest), blob.bytes));
      continue;
    }
    const LayerRow& row = *blob.layer;
    TRY(target.Stream(BlobPath(digest), static_cast<uint64_t>(row.tar_size),
                      [&](ByteSink& sink) { return store.layers().WriteTar(row.diff_id, sink); }));
  }
  return {};
}

std::string LayoutFile() { return Dump({{"imageLayoutVersion", "1.0.0"}}); }

size_t NumberOfNames(const std::vector<SavedImage>& images) {
  size_t names = 0;
  for (const SavedImage& image : images) names += image.references.size();
  return names;
}

std::string AnnotationOf(const Json& entry, const char* key) {
  if (!entry.is_object() || !entry.contains("annotations")) return "";
  const Json& annotations = entry["annotations"];
  if (!annotations.is_object() || !annotations.contains(key)) return "";
  return annotations[key].is_string() ? annotations[key].get<std::string>() : "";
}

Result<std::vector<Json>> EntriesOf(const std::string& index) {
  if (index.empty()) return std::vector<Json>{};
  auto parsed = ParseJson(index);
  if (!parsed || !parsed->is_object() || !parsed->contains("manifests") ||
      !(*parsed)["manifests"].is_array())
    return Invalid("the layout's index.json is damaged", EBADMSG);
  return (*parsed)["manifests"].get<std::vector<Json>>();
}

// `present` with `added` to it: entries of the same name are replaced, equal ones are not doubled.
std::vector<Json> Merged(const std::vector<Json>& present, const std::vector<Json>& added) {
  std::vector<Json> entries;
  for (const Json& entry : present) {
    std::string name = AnnotationOf(entry, kRefName);
    auto replaced = [&](const Json& a) {
      return a == entry || (!name.empty() && AnnotationOf(a, kRefName) == name);
    };
    if (std::none_of(added.begin(), added.end(), replaced)) entries.push_back(entry);
  }
  entries.insert(entries.end(), added.begin(), added.end());
  return entries;
}

// Whether a tag of ours is another image's name in a layout already.
bool TagIsTaken(const std::vector<Json>& present, const std::vector<SavedImage>& images) {
  for (const SavedImage& image : images) {
    for (const ImageReference& reference : image.references) {
      for (const Json& entry : present) {
        std::string name = AnnotationOf(entry, kImageName);
        if (AnnotationOf(entry, kRefName) == reference.tag() && !name.empty() &&
            name != reference.Canonical())
          return true;
      }
    }
  }
  return false;
}

}  // namespace

Result<std::string> ManifestOf(Store& store, const SaveItem& item) {
  TRY_ASSIGN(SavedImage image, Describe(store, item));
  return std::move(image.manifest);
}

Result<> SaveArchive(Store& store, std::span<const SaveItem> items, SaveFormat format,
                     ByteSink& out) {
  TRY_ASSIGN(WorkLease lease, WorkLease::Shared(store.root_fd()));
  TRY_ASSIGN(auto images, Describe(store, items));
  TRY_ASSIGN(auto target, LayoutTarget::Tar(out));
  TRY(WriteBlobs(store, images, *target));
  const bool docker = format == SaveFormat::kDocker;
  TRY(target->File(kIndexFile, Index(IndexEntries(images, !docker && NumberOfNames(images) > 1))));
  if (docker) TRY(target->File("manifest.json", DockerManifest(images)));
  TRY(target->File(kLayoutFile, LayoutFile()));
  if (std::string names = Repositories(images); docker && !names.empty())
    TRY(target->File("repositories", names));
  return target->Finish();
}

Result<> SaveLayout(Store& store, std::span<const SaveItem> items, const std::string& directory) {
  TRY_ASSIGN(WorkLease lease, WorkLease::Shared(store.root_fd()));
  TRY_ASSIGN(auto images, Describe(store, items));
  TRY_ASSIGN(auto target, LayoutTarget::InDirectory(directory));
  TRY_ASSIGN(std::string index, target->Existing(kIndexFile));
  TRY_ASSIGN(auto present, EntriesOf(index));
  // First what makes the directory a layout: an interrupted save can be repeated. The index comes
  // last: it names only blobs that are there.
  TRY(target->File(kLayoutFile, LayoutFile()));
  TRY(WriteBlobs(store, images, *target));
  auto added = IndexEntries(images, NumberOfNames(images) > 1 || TagIsTaken(present, images));
  TRY(target->File(kIndexFile, Index(Merged(present, added))));
  return target->Finish();
}

}  // namespace veneer
