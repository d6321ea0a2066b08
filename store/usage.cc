#include <fcntl.h>
#include <sys/stat.h>

#include <map>
#include <set>

#include "store/base/beneath.h"
#include "store/cache_mount.h"
#include "store/directory.h"
#include "store/disk_usage.h"
#include "store/layer_objects.h"
#include "store/lease.h"
#include "store/maintenance.h"
#include "store/sorted_set.h"

namespace veneer {
namespace {

// Who reaches a thing.
enum Reach : uint8_t {
  kByImage = 1,        // some image
  kByActiveImage = 2,  // an image that has a container
  kByBuildCache = 4,   // some build record
};

struct LayerUse {
  uint8_t reach = 0;
  uint64_t images = 0;     // times an image holds it
  uint64_t files = 0;      // bytes on disk of its files, as if it shared none
  uint64_t own_files = 0;  // bytes on disk of its tree and recipe
};

class Measurer {
 public:
  explicit Measurer(Store& store) : store_(store) {}

  Result<Usage> Run() {
    TRY(ReadCatalog());
    TRY(ReadObjects());
    for (auto& [id, use] : layers_) TRY(ReadLayer(id, use));
    for (size_t i = 0; i < objects_.size(); ++i) {
      usage_.object_bytes += object_bytes_[i];
      Count(object_bytes_[i], object_reach_[i]);
    }
    TRY(ReadFolders());
    TRY(ReadCacheMounts());
    usage_.reclaimable_bytes = usage_.image_bytes - active_bytes_;
    return usage_;
  }

 private:
  Result<> ReadCatalog() {
    TRY_ASSIGN(auto containers, store_.catalog().Containers());
    std::set<ImageId> active;
    for (const ContainerRow& row : containers) {
      ++usage_.containers;
      active.insert(row.image);
      if (IsMounted(row.mount_path)) ++usage_.active_containers;
      TRY_ASSIGN(uint64_t bytes, AllocatedBytes(store_.root_fd(), "containers/" + row.id));
      usage_.container_bytes += bytes;
      known_containers_.insert(row.id);
    }
    TRY_ASSIGN(auto rows, store_.catalog().Layers());
    for (const LayerRow& row : rows) layers_[row.diff_id] = {};
    TRY_ASSIGN(auto images, store_.catalog().Images());
    for (const ImageRow& row : images) {
      ++usage_.images;
      uint8_t reach = kByImage;
      if (active.contains(row.id)) {
        ++usage_.active_images;
        reach |= kByActiveImage;
      }
      TRY_ASSIGN(auto layers, store_.catalog().ImageLayers(row.id));
      for (const DiffId& layer : layers) {
        layers_[layer].reach |= reach;
        ++layers_[layer].images;
      }
      if (!layers.empty()) TRY(ReachChain(layers, reach));
    }
    TRY_ASSIGN(auto records, store_.catalog().BuildRecords());
    usage_.build_records = records.size();
    for (const BuildRecord& record : records) {
      for (const DiffId& layer : record.layers) layers_[layer].reach |= kByBuildCache;
      if (!record.layers.empty()) TRY(ReachChain(record.layers, kByBuildCache));
    }
    return {};
  }

  // Whether a filesystem is mounted there; asks the kernel only, never a daemon that may hang.
  static bool IsMounted(const std::string& path) {
    if (path.empty()) return false;
    struct statx stx;
    int flags = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC;
    return statx(AT_FDCWD, path.c_str(), flags, STATX_TYPE, &stx) == 0 &&
           (stx.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
  }

  Result<> ReachChain(const std::vector<DiffId>& layers, uint8_t reach) {
    std::string name = ChainIdOf(layers).Hex();
    chain_reach_[name] |= reach;
    TRY_ASSIGN(UniqueFd dir, OpenAt(store_.root_fd(), ChainStore::kFolder, O_RDONLY | O_DIRECTORY));
    auto tree = tree::MergedTree::Open(dir.get(), name);
    if (!tree) return {};
    for (const std::string& file : (*tree)->file_names()) chain_reach_[file] |= reach;
    return {};
  }

  Result<> ReadObjects() {
    TRY(store_.objects().ForEach([&](const ObjectId& id) -> Result<> {
      objects_.Add(id);
      return {};
    }));
    objects_.Seal();
    usage_.objects = objects_.size();
    object_reach_.resize(objects_.size());
    object_bytes_.resize(objects_.size());
    for (size_t i = 0; i < objects_.size(); ++i) {
      auto bytes = store_.objects().AllocatedBytes(objects_[i]);
      if (bytes) object_bytes_[i] = *bytes;
    }
    return {};
  }

  Result<> ReadLayer(const DiffId& id, LayerUse& use) {
    auto reach = [&](const ObjectId& object, uint64_t) -> uint64_t {
      auto index = objects_.IndexOf(object);
      if (!index) return 0;
      object_reach_[*index] |= use.reach;
      return object_bytes_[*index];
    };
    auto read = ForEachObjectOfRecipe(store_, id, reach);
    if (read) {
      read = ForEachObjectOfTree(store_, id, [&](const ObjectId& object, uint64_t size) {
        use.files += reach(object, size);
      });
    }
    if (!read) return std::unexpected(read.error().Within("layer " + id.ToString()));
    TRY_ASSIGN(use.own_files, AllocatedBytes(store_.root_fd(), LayerStore::FolderOf(id)));
    usage_.layer_content_bytes += use.files;
    usage_.image_content_bytes += use.files * use.images;
    Count(use.own_files, use.reach);
    return {};
  }

  void Count(uint64_t bytes, uint8_t reach) {
    if (reach & kByImage) usage_.image_bytes += bytes;
    if (reach & kByActiveImage) active_bytes_ += bytes;
    if (reach == kByBuildCache) AddToBuildCache(bytes, /*in_use=*/false);
    if (reach == 0) usage_.unreachable_bytes += bytes;
  }

  void AddToBuildCache(uint64_t bytes, bool in_use) {
    usage_.build_cache_bytes += bytes;
    if (!in_use) usage_.build_cache_reclaimable_bytes += bytes;
  }

  Result<> ReadCacheMounts() {
    TRY_ASSIGN(auto mounts, CacheMounts(store_));
    for (const CacheMountInfo& mount : mounts) {
      ++usage_.cache_mounts;
      if (mount.in_use) ++usage_.active_cache_mounts;
      AddToBuildCache(mount.bytes, mount.in_use);
    }
    return {};
  }

  // Merged trees, and what no row accounts for.
  Result<> ReadFolders() {
    auto each = [&](const std::string& folder, auto reach_of) -> Result<> {
      TRY_ASSIGN(auto names, ListDirectory(store_.root_fd(), folder));
      for (const std::string& name : names) {
        std::optional<uint8_t> reach = reach_of(name);
        if (!reach) continue;
        std::string path = folder;
        path.append("/").append(name);
        TRY_ASSIGN(uint64_t bytes, AllocatedBytes(store_.root_fd(), path));
        Count(bytes, *reach);
      }
      return {};
    };
    TRY(each(ChainStore::kFolder, [&](const std::string& name) -> std::optional<uint8_t> {
      auto it = chain_reach_.find(name);
      return it == chain_reach_.end() ? uint8_t{0} : it->second;
    }));
    TRY(each("layers", [&](const std::string& name) -> std::optional<uint8_t> {
      auto digest = Digest::ParseHex(name);
      if (!digest || layers_.contains(DiffId(*digest))) return std::nullopt;
      return uint8_t{0};
    }));
    TRY(each("containers", [&](const std::string& name) -> std::optional<uint8_t> {
      if (known_containers_.contains(name)) return std::nullopt;
      return uint8_t{0};
    }));
    return each("ingest", [](const std::string&) -> std::optional<uint8_t> { return uint8_t{0}; });
  }

  Store& store_;
  Usage usage_;
  uint64_t active_bytes_ = 0;
  std::map<DiffId, LayerUse> layers_;
  std::map<std::string, uint8_t> chain_reach_;  // by file name
  std::set<std::string> known_containers_;
  SortedSet<ObjectId> objects_;
  std::vector<uint64_t> object_bytes_;  // beside objects_
  std::vector<uint8_t> object_reach_;
};

}  // namespace

Result<Usage> MeasureUsage(Store& store) {
  TRY_ASSIGN(WorkLease lease, WorkLease::Shared(store.root_fd()));
  return Measurer(store).Run();
}

}  // namespace veneer
