#include <fcntl.h>
#include <sys/stat.h>

#include <set>

#include "store/base/beneath.h"
#include "store/image_config.h"
#include "store/layer_objects.h"
#include "store/lease.h"
#include "store/maintenance.h"
#include "store/sorted_set.h"

namespace veneer {
namespace {

// A content a layer relies on, with the length the layer says it has.
struct Need {
  ObjectId id;
  uint64_t size = 0;
  auto operator<=>(const Need&) const = default;
};

// Takes a rebuilt tar, whose digest LayerStore::WriteTar compares itself.
class CountingSink : public ByteSink {
 public:
  explicit CountingSink(const std::function<void(uint64_t)>& progress) : progress_(progress) {}
  Result<> Write(std::string_view data) override {
    size_ += data.size();
    if (progress_) progress_(data.size());
    return {};
  }
  uint64_t size() const { return size_; }

 private:
  const std::function<void(uint64_t)>& progress_;
  uint64_t size_ = 0;
};

class Checker {
 public:
  Checker(Store& store, bool deep, const std::function<void(uint64_t)>& progress)
      : store_(store), deep_(deep), progress_(progress) {}

  // Each step returns an error only where going on makes no sense; what it finds goes to the
  // report.
  Result<CheckReport> Run() {
    if (auto sound = store_.catalog().IntegrityCheck(); !sound) {
      Problem(sound.error().Message());
      return std::move(report_);
    }
    TRY_ASSIGN(auto rows, store_.catalog().Layers());
    for (const LayerRow& row : rows) CheckLayer(row);
    TRY(CheckObjects());
    for (const LayerRow& row : rows) TRY(CheckContents(row));
    TRY(CheckImages());
    TRY(CheckContainers());
    return std::move(report_);
  }

 private:
  void Problem(std::string line) { report_.problems.push_back(std::move(line)); }
  void Progress(uint64_t bytes) {
    if (progress_) progress_(bytes);
  }

  static std::string NameOf(const LayerRow& row) { return "layer " + row.diff_id.ToString(); }

  // Recipe and tree; notes the objects both need.
  void CheckLayer(const LayerRow& row) {
    ++report_.layers;
    auto recipe = CheckRecipe(row);
    if (!recipe) {
      Problem(NameOf(row) + ": recipe: " + recipe.error().Message());
      damaged_layers_.insert(row.diff_id);
    }
    auto tree = CheckTree(row.diff_id);
    if (tree) return;
    if (recipe && (tree.error().code() == EBADMSG || tree.error().code() == ENOENT)) {
      trees_to_rebuild_.insert(row.diff_id);  // once its objects are known to be good
      return;
    }
    Problem(NameOf(row) + ": tree: " + tree.error().Message());
  }

  Result<> CheckRecipe(const LayerRow& row) {
    TRY_ASSIGN(auto recipe, store_.layers().Recipe(row.diff_id));
    if (recipe.reader->tar_size() != static_cast<uint64_t>(row.tar_size))
      return Invalid("rebuilds a tar of another size than the catalogue has", EBADMSG);
    return ForEachObjectOfRecipe(
        store_, row.diff_id, [&](const ObjectId& id, uint64_t size) { needs_.Add({id, size}); });
  }

  Result<> CheckTree(const DiffId& id) {
    TRY_ASSIGN(UniqueFd fd, OpenAt(store_.root_fd(), LayerStore::FolderOf(id) + "/tree", O_RDONLY));
    TRY_ASSIGN(auto tree, tree::LayerTree::Open(fd.get()));
    TRY(tree->VerifyAll());
    TRY_ASSIGN(struct stat st, StatAt(fd.get(), "", AT_EMPTY_PATH));
    Progress(static_cast<uint64_t>(st.st_size));
    return tree->ForEachObject(
        [&](const ObjectId& object, uint64_t size) { needs_.Add({object, size}); });
  }

  Result<> CheckObjects() {
    needs_.Seal();
    SortedSet<ObjectId> needed;
    for (const Need& need : needs_) {
      if (need.size == 0) continue;
      needed.Add(need.id);
      auto good = CheckObject(need);
      if (good) continue;
      Problem("object " + need.id.Hex() + ": " + good.error().Message());
      bad_.Add(need.id);
    }
    bad_.Seal();
    needed.Seal();
    report_.objects = needed.size();
    return store_.objects().ForEach([&](const ObjectId& id) -> Result<> {
      if (!needed.Contains(id)) ++report_.unreachable_objects;
      return {};
    });
  }

  Result<> CheckObject(const Need& need) {
    auto fd = store_.objects().Open(need.id);
    if (!fd) {
      if (fd.error().code() == ENOENT) return Invalid("missing", EBADMSG);
      return std::unexpected(fd.error());
    }
    TRY_ASSIGN(struct stat st, StatAt(fd->get(), "", AT_EMPTY_PATH));
    if (!S_ISREG(st.st_mode)) return Invalid("not a regular file", EBADMSG);
    if (static_cast<uint64_t>(st.st_size) != need.size) {
      return Invalid(
          "has " + std::to_string(st.st_size) + " bytes instead of " + std::to_string(need.size),
          EBADMSG);
    }
    if (!deep_) return {};
    FdSource source(fd->get());
    HashingSource hashed(source);
    for (;;) {
      TRY_ASSIGN(std::string_view piece, hashed.Next());
      if (piece.empty()) break;
      Progress(piece.size());
    }
    if (hashed.digest() != need.id.digest) return Invalid("content is damaged", EBADMSG);
    return {};
  }

  // What a layer's objects make of it; its tree is rebuilt here where it has to be.
  Result<> CheckContents(const LayerRow& row) {
    if (damaged_layers_.contains(row.diff_id)) return {};
    uint64_t bad = 0;
    if (bad_.size() > 0) {
      TRY(ForEachObjectOfRecipe(store_, row.diff_id, [&](const ObjectId& id, uint64_t) {
        if (bad_.Contains(id)) ++bad;
      }));
    }
    const bool rebuild = trees_to_rebuild_.contains(row.diff_id);
    if (bad > 0) {
      Problem(NameOf(row) + ": " + std::to_string(bad) + " of its files are missing or damaged" +
              (rebuild ? ", and its tree cannot be rebuilt" : ""));
      return {};
    }
    if (rebuild) {
      auto rebuilt = store_.layers().RebuildTree(row.diff_id);
      if (rebuilt) {
        report_.repaired.push_back(NameOf(row) + ": tree");
      } else {
        Problem(NameOf(row) + ": tree: " + rebuilt.error().Message());
      }
    }
    if (!deep_) return {};
    CountingSink sink(progress_);
    auto written = store_.layers().WriteTar(row.diff_id, sink);
    if (!written) Problem(NameOf(row) + ": " + written.error().Message());
    return {};
  }

  Result<> CheckImages() {
    TRY_ASSIGN(auto images, store_.catalog().Images());
    std::set<ChainId> chains;
    for (const ImageRow& image : images) {
      ++report_.images;
      std::string name = "image " + image.id.ToString();
      if (ImageConfig::IdOf(image.config) != image.id) {
        Problem(name + ": the config is damaged");
        continue;
      }
      TRY_ASSIGN(auto layers, store_.catalog().ImageLayers(image.id));
      auto config = ImageConfig::Parse(image.config);
      if (!config) {
        Problem(name + ": " + config.error().Message());
      } else if (config->diff_ids != layers) {
        Problem(name + ": the catalogue has other layers than the config");
      }
      TRY_ASSIGN(auto manifests, store_.catalog().Manifests(image.id));
      for (const ManifestRow& manifest : manifests)
        if (Digest::Of(manifest.raw) != manifest.digest)
          Problem(name + ": manifest " + manifest.digest.ToString() + " is damaged");
      bool whole = true;
      for (const DiffId& layer : layers) {
        TRY_ASSIGN(auto row, store_.catalog().FindLayer(layer));
        if (row) continue;
        Problem(name + ": layer " + layer.ToString() + " is missing");
        whole = false;
      }
      if (whole && !layers.empty() && chains.insert(ChainIdOf(layers)).second)
        CheckChain(name, layers);
    }
    return {};
  }

  void CheckChain(const std::string& image, const std::vector<DiffId>& layers) {
    auto st = StatAt(AT_FDCWD, store_.chains().PathOf(layers), AT_SYMLINK_NOFOLLOW);
    if (!st) return;  // a cache: made when it is needed
    ++report_.chains;
    Progress(static_cast<uint64_t>(st->st_size));
    auto repaired = store_.chains().VerifyAndRepair(layers);
    if (!repaired) {
      Problem(image + ": merged tree: " + repaired.error().Message());
    } else if (*repaired) {
      report_.repaired.push_back(image + ": merged tree");
    }
  }

  Result<> CheckContainers() {
    TRY_ASSIGN(auto rows, store_.catalog().Containers());
    for (const ContainerRow& row : rows) {
      std::string name = "container " + row.name;
      auto st = StatAt(store_.root_fd(), "containers/" + row.id + "/upper", AT_SYMLINK_NOFOLLOW);
      if (!st) {
        Problem(name + ": its files: " + st.error().Message());
      } else if (!S_ISDIR(st->st_mode)) {
        Problem(name + ": its upper is no directory");
      }
      TRY_ASSIGN(auto image, store_.catalog().FindImage(row.image));
      if (!image) Problem(name + ": image " + row.image.ToString() + " is missing");
    }
    return {};
  }

  Store& store_;
  const bool deep_;
  const std::function<void(uint64_t)>& progress_;
  CheckReport report_;
  SortedSet<Need> needs_;
  SortedSet<ObjectId> bad_;
  std::set<DiffId> damaged_layers_;  // without a recipe that can be read
  std::set<DiffId> trees_to_rebuild_;
};

}  // namespace

Result<CheckReport> Check(Store& store, bool deep, const std::function<void(uint64_t)>& progress) {
  TRY_ASSIGN(WorkLease lease, WorkLease::Shared(store.root_fd()));
  return Checker(store, deep, progress).Run();
}

}  // namespace veneer
