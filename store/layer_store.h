// LayerStore and ChainStore: the committed layers (tree + recipe), and the merged trees made of
// them.
//
// Life of a layer: a tar is ingested (store/ingest.h) and published; from then on it is immutable
// until no image and no mount needs it. `layers/<diffid>/tree` is what it changes,
// `layers/<diffid>/recipe` gives its tar back bit for bit. Both are verified as they are read; a
// damaged tree is rebuilt from recipe and objects. A chain's tree in `chains/` is a cache: missing
// or damaged ones are rebuilt from the layers, with the same inode numbers.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "store/archive/byte_stream.h"
#include "store/archive/recipe.h"
#include "store/base/digest.h"
#include "store/base/result.h"
#include "store/tree/layer_tree.h"
#include "store/tree/merged_tree.h"

namespace veneer {

class Store;

class LayerStore {
 public:
  explicit LayerStore(Store& store) : store_(store) {}

  static std::string FolderOf(const DiffId& id);  // "layers/<hex>"

  // The layer's tree; a damaged or missing one is first rebuilt. ENOENT: no such layer.
  Result<std::unique_ptr<tree::LayerTree>> OpenTree(const DiffId& id);

  // Whether tree and recipe are there and their headers are sound.
  bool IsReadable(const DiffId& id);

  // A recipe and the descriptor it reads from.
  struct OpenRecipe {
    UniqueFd fd;
    std::unique_ptr<RecipeReader> reader;
  };
  Result<OpenRecipe> Recipe(const DiffId& id);

  // Writes the layer's tar to `out`, byte for byte what was loaded; EBADMSG, after the last byte,
  // when what came out does not have the layer's DiffID (so use what was written only on success).
  Result<> WriteTar(const DiffId& id, ByteSink& out);

  // Makes the layer's tree anew from its recipe and objects, whatever the tree there is like.
  // EBADMSG: these are damaged too. REQUIRES: no exclusive WorkLease is held by this process.
  Result<> RebuildTree(const DiffId& id);

  // Removes the files. REQUIRES: an exclusive WorkLease, and the row is gone.
  Result<> Remove(const DiffId& id);

 private:
  Store& store_;
};

class ChainStore {
 public:
  explicit ChainStore(Store& store) : store_(store) {}

  static constexpr const char* kFolder = "chains";

  // Makes sure the merged tree of `layers` (lowest first) exists and is readable, and opens it. No
  // layers: the empty tree. The longest prefix that has a tree already is built upon.
  Result<std::unique_ptr<tree::MergedTree>> Open(std::span<const DiffId> layers);

  // Verifies every block of the chain's tree; rebuilds it when damaged. True when it had to be
  // rebuilt.
  Result<bool> VerifyAndRepair(std::span<const DiffId> layers);

  // Absolute path of the tree file, for veneerfs; "none" for no layers.
  std::string PathOf(std::span<const DiffId> layers) const;

 private:
  Result<> Build(std::span<const DiffId> layers);
  Result<> BuildOnce(std::span<const DiffId> layers);
  Store& store_;
};

}  // namespace veneer
