// LayerCache: gives steps of a build their layers, from the cache of former builds or made anew.
//
// One per thread: it has the store open for itself.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "store/base/digest.h"
#include "store/base/result.h"
#include "store/ingest.h"
#include "store/store.h"
#include "tools/build/copy/copy_step.h"

namespace veneer::build {

struct CachedChain {
  std::vector<DiffId> layers;  // of the whole chain
  int64_t created_at = 0;      // of its last layer, seconds since the epoch
};

class LayerCache {
 public:
  static Result<LayerCache> Open(const std::string& store_root);

  Store& store() { return *store_; }

  // What `key` led to, if that is all there still; it counts as used now.
  Result<std::optional<CachedChain>> Find(const Digest& key);

  // Stages a layer by `stage` and publishes it together with its record: `below` and the layer are
  // what `key` leads to from now on. With `created_at` (SOURCE_DATE_EPOCH) it was made then. Where
  // another build was faster, its layer is what counts, unless it is to be `replaced`.
  Result<CachedChain> Make(const Digest& key, std::span<const DiffId> below,
                           const std::string& description, std::optional<int64_t> created_at,
                           bool replaced,
                           const std::function<Result<StagedLayer>(IngestSession&)>& stage);

  // A chain of one layer: what `spec` (of no chain: with `link`) copies. From the cache, if it can.
  Result<CachedChain> OfCopy(CopySpec spec, const std::string& description,
                             std::optional<int64_t> epoch);

  // The merged tree of a chain.
  Result<std::shared_ptr<const tree::MergedTree>> Tree(std::span<const DiffId> layers);

 private:
  explicit LayerCache(std::unique_ptr<Store> store) : store_(std::move(store)) {}
  bool IsWhole(const BuildRecord& record);
  std::unique_ptr<Store> store_;
};

}  // namespace veneer::build
