// Order: rows first, then files, so that a crash leaves files without rows, which a later sweep
// removes, and never rows without files.
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <set>
#include <thread>
#include <tuple>

#include "store/base/beneath.h"
#include "store/base/fault.h"
#include "store/directory.h"
#include "store/disk_usage.h"
#include "store/layer_objects.h"
#include "store/lease.h"
#include "store/maintenance.h"
#include "store/sorted_set.h"
#include "store/stale_mounts.h"

namespace veneer {
namespace {

constexpr auto kReleaseWait = std::chrono::seconds(5);
constexpr auto kReleasePoll = std::chrono::milliseconds(10);

// One sweep, from its lease to its report.
class Sweeper {
 public:
  Sweeper(Store& store, WorkLease lease) : store_(store), lease_(std::move(lease)) {}

  // Finds what must stay. Comes first.
  Result<> FindRoots() {
    TRY_ASSIGN(auto images, store_.catalog().Images());
    for (const ImageRow& image : images) {
      TRY_ASSIGN(auto layers, store_.catalog().ImageLayers(image.id));
      Root(std::move(layers));
    }
    TRY(RootBuildRecords());
    TRY_ASSIGN(auto leased, LeasedChains(store_.root_fd()));
    for (auto& layers : leased) Root(std::move(layers));
    kept_layers_.Seal();
    return {};
  }

  // What cannot be removed keeps nothing else: its error is for the end.
  Result<> RemoveStaging() {
    Result<> outcome;
    TRY_ASSIGN(auto names, ListDirectory(store_.root_fd(), "ingest"));
    for (const std::string& name : names) {
      std::string path = "ingest/" + name;
      // Nobody ingests while we hold the lease; the lock guards against one whose lease was lost.
      auto dir = OpenAt(store_.root_fd(), path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
      if (dir && flock(dir->get(), LOCK_EX | LOCK_NB) != 0) continue;
      Result<> removed = dir ? DetachMountsBelow(dir->get()) : Result<>();
      if (!IsReleased(path)) continue;
      if (removed) removed = Remove(path);
      if (removed) ++report_.staging;
      if (!removed && outcome) outcome = std::move(removed);
    }
    return outcome;
  }

  // The rows of those `candidates` that nothing needs, and then their folders.
  Result<> RemoveLayers(const std::vector<DiffId>& candidates) {
    SortedSet<DiffId> gone;  // an image may hold one layer twice
    for (const DiffId& id : candidates)
      if (!kept_layers_.Contains(id)) gone.Add(id);
    gone.Seal();
    if (gone.size() == 0) return {};
    TRY(store_.catalog().InTransaction([&]() -> Result<> {
      for (const DiffId& id : gone) TRY(store_.catalog().DeleteLayer(id));
      return {};
    }));
    TRY(FaultPoint("sweep.rows_gone"));
    for (const DiffId& id : gone) {
      TRY_ASSIGN(uint64_t bytes, AllocatedBytes(store_.root_fd(), LayerStore::FolderOf(id)));
      TRY(store_.layers().Remove(id));
      report_.bytes += bytes;
      ++report_.layers;
    }
    return FaultPoint("sweep.layers_gone");
  }

  // Folders that a crash left without a row.
  Result<> RemoveLayersWithoutRow() {
    TRY_ASSIGN(auto names, ListDirectory(store_.root_fd(), "layers"));
    std::vector<DiffId> candidates;
    for (const std::string& name : names) {
      auto digest = Digest::ParseHex(name);
      if (!digest) continue;
      TRY_ASSIGN(auto row, store_.catalog().FindLayer(DiffId(*digest)));
      if (!row) candidates.push_back(DiffId(*digest));
    }
    return RemoveLayers(candidates);
  }

  Result<> RemoveChains() {
    TRY_ASSIGN(UniqueFd chains,
               OpenAt(store_.root_fd(), ChainStore::kFolder, O_RDONLY | O_DIRECTORY));
    std::set<std::string> kept;
    for (const std::string& name : kept_chains_) {
      kept.insert(name);
      // A tree that does not open has no bases worth keeping: it is made anew when needed.
      auto tree = tree::MergedTree::Open(chains.get(), name);
      if (!tree) continue;
      for (std::string& file : (*tree)->file_names()) kept.insert(std::move(file));
    }
    TRY_ASSIGN(auto names, ListDirectory(chains.get(), "."));
    for (const std::string& name : names) {
      if (kept.contains(name)) continue;
      TRY(Remove(std::string(ChainStore::kFolder) + "/" + name));
      if (Digest::ParseHex(name)) ++report_.chains;
    }
    return {};
  }

  Result<> RemoveContainers() {
    TRY_ASSIGN(auto rows, store_.catalog().Containers());
    std::set<std::string> kept;
    for (const ContainerRow& row : rows) kept.insert(row.id);
    TRY_ASSIGN(auto names, ListDirectory(store_.root_fd(), "containers"));
    for (const std::string& name : names) {
      if (kept.contains(name) || InUse("containers/" + name)) continue;
      TRY(Remove("containers/" + name));
      ++report_.containers;
    }
    return {};
  }

  // Calls `visit` with the objects of every layer that stays.
  Result<> ForEachKeptObject(const ObjectVisitor& visit) {
    TRY_ASSIGN(auto rows, store_.catalog().Layers());
    SortedSet<DiffId> layers = kept_layers_;
    for (const LayerRow& row : rows) layers.Add(row.diff_id);
    layers.Seal();
    for (const DiffId& id : layers) {
      auto read = ForEachObjectOfRecipe(store_, id, visit);
      if (read) read = ForEachObjectOfTree(store_, id, visit);
      if (read) continue;
      // Without knowing what a layer needs, no object may go.
      return Invalid("layer " + id.ToString() + " is damaged (" + read.error().Message() +
                         "); no file content was removed: check the store first",
                     EBADMSG);
    }
    return {};
  }

  Result<> RemoveObject(const ObjectId& id) {
    auto bytes = store_.objects().AllocatedBytes(id);
    if (!bytes) {
      if (bytes.error().code() == ENOENT) return {};
      return std::unexpected(bytes.error());
    }
    TRY(store_.objects().Remove(id));
    report_.bytes += *bytes;
    ++report_.objects;
    return {};
  }

  const SweepReport& report() const { return report_; }

 private:
  void Root(std::vector<DiffId> layers) {
    if (layers.empty()) return;
    for (const DiffId& layer : layers) kept_layers_.Add(layer);
    kept_chains_.insert(ChainIdOf(layers).Hex());
  }

  // A record of the build cache is worth nothing once a layer of it cannot be read.
  Result<> RootBuildRecords() {
    TRY_ASSIGN(auto records, store_.catalog().BuildRecords());
    std::map<DiffId, bool> readable;
    auto can_read = [&](const DiffId& id) {
      auto [entry, is_new] = readable.try_emplace(id, false);
      if (is_new) entry->second = store_.layers().IsReadable(id);
      return entry->second;
    };
    std::vector<Digest> dead;
    for (BuildRecord& record : records) {
      if (std::all_of(record.layers.begin(), record.layers.end(), can_read)) {
        Root(std::move(record.layers));
      } else {
        dead.push_back(record.key);
      }
    }
    if (dead.empty()) return {};
    report_.build_records += dead.size();
    return store_.catalog().InTransaction([&]() -> Result<> {
      for (const Digest& key : dead) TRY(store_.catalog().DeleteBuildRecord(key));
      return {};
    });
  }

  Result<> Remove(const std::string& path) {
    TRY_ASSIGN(uint64_t bytes, AllocatedBytes(store_.root_fd(), path));
    TRY(RemoveTree(store_.root_fd(), path));
    report_.bytes += bytes;
    return {};
  }

  // A mount flocks its upper for as long as it lives.
  bool InUse(const std::string& folder) {
    auto upper = OpenAt(store_.root_fd(), folder + "/upper", O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    return upper && flock(upper->get(), LOCK_EX | LOCK_NB) != 0;
  }

  // A daemon whose mount is gone writes down what it has before it lets go of its upper.
  bool IsReleased(const std::string& staging) {
    auto names = ListDirectory(store_.root_fd(), staging);
    if (!names) return true;
    const auto until = std::chrono::steady_clock::now() + kReleaseWait;
    return std::all_of(names->begin(), names->end(), [&](const std::string& name) {
      while (InUse(staging + "/" + name)) {
        if (std::chrono::steady_clock::now() >= until) return false;
        std::this_thread::sleep_for(kReleasePoll);
      }
      return true;
    });
  }

  Store& store_;
  WorkLease lease_;
  SweepReport report_;
  SortedSet<DiffId> kept_layers_;
  std::set<std::string> kept_chains_;
};

}  // namespace

Result<SweepReport> Sweep(Store& store) {
  TRY_ASSIGN(WorkLease lease, WorkLease::Exclusive(store.root_fd()));
  Sweeper sweeper(store, std::move(lease));
  TRY(sweeper.FindRoots());
  const Result<> staging = sweeper.RemoveStaging();
  TRY_ASSIGN(auto rows, store.catalog().Layers());
  std::vector<DiffId> all;
  for (const LayerRow& row : rows) all.push_back(row.diff_id);
  TRY(sweeper.RemoveLayers(all));
  TRY(sweeper.RemoveLayersWithoutRow());
  TRY(sweeper.RemoveChains());
  TRY(sweeper.RemoveContainers());

  SortedSet<ObjectId> needed;
  TRY(sweeper.ForEachKeptObject([&](const ObjectId& id, uint64_t) { needed.Add(id); }));
  needed.Seal();
  TRY(store.objects().ForEach([&](const ObjectId& id) -> Result<> {
    if (needed.Contains(id)) return {};
    return sweeper.RemoveObject(id);
  }));
  TRY(staging);
  return sweeper.report();
}

Result<SweepReport> TryReclaim(Store& store, const std::vector<DiffId>& layers) {
  auto lease = WorkLease::TryExclusive(store.root_fd());
  if (!lease) {
    if (lease.error().code() == EWOULDBLOCK) return SweepReport{};
    return std::unexpected(lease.error());
  }
  Sweeper sweeper(store, std::move(*lease));
  TRY(sweeper.FindRoots());
  // Read before the layers go. One that cannot be read names no objects; a full sweep finds them.
  SortedSet<ObjectId> candidates;
  auto note = [&](const ObjectId& id, uint64_t) { candidates.Add(id); };
  for (const DiffId& layer : layers) {
    std::ignore = ForEachObjectOfRecipe(store, layer, note);
    std::ignore = ForEachObjectOfTree(store, layer, note);
  }
  candidates.Seal();
  TRY(sweeper.RemoveLayers(layers));
  TRY(sweeper.RemoveChains());

  if (candidates.size() == 0) return sweeper.report();
  std::vector<bool> needed(candidates.size());
  TRY(sweeper.ForEachKeptObject([&](const ObjectId& id, uint64_t) {
    if (auto index = candidates.IndexOf(id)) needed[*index] = true;
  }));
  for (size_t i = 0; i < candidates.size(); ++i)
    if (!needed[i]) TRY(sweeper.RemoveObject(candidates[i]));
  return sweeper.report();
}

}  // namespace veneer
