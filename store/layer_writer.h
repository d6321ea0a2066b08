// LayerWriter: makes one layer of Veneer's own (a commit's, a build step's): its canonical tar,
// tree, recipe and objects in one pass.
//
// Entries come in the order they shall stand in the tar. The same entries give the same DiffID. Not
// thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "store/archive/canonical_tar.h"
#include "store/archive/recipe.h"
#include "store/base/result.h"
#include "store/ingest.h"
#include "store/tree/layer_tree_builder.h"
#include "store/upper_walk.h"

namespace veneer {

struct LayerWriterOptions {
  // Modification times after it become it (seconds since the epoch): SOURCE_DATE_EPOCH.
  std::optional<int64_t> latest_mtime;
  // The files that UpperChange::open gives are nobody else's: a large one may be kept as it is
  // instead of a copy. It then has other attributes under its old name.
  bool own_files = false;
};

class LayerWriter {
 public:
  static Result<std::unique_ptr<LayerWriter>> Create(IngestSession& session,
                                                     LayerWriterOptions options = {});
  ~LayerWriter();

  // `on_bytes`, if set, is called with the bytes of content read.
  Result<> Add(const UpperChange& change, const std::function<void(uint64_t)>& on_bytes);
  Result<StagedLayer> Finish();

 private:
  struct Split;
  LayerWriter(IngestSession& session, LayerWriterOptions options);
  tree::Attributes Recorded(const tree::Attributes& attr) const;
  Result<> AddMarker(const std::string& path);
  Result<> AddContent(const UpperChange& change, const std::function<void(uint64_t)>& on_bytes,
                      ObjectId& object);

  IngestSession& session_;
  const LayerWriterOptions options_;
  std::string folder_;
  UniqueFd recipe_fd_;
  UniqueFd tree_fd_;
  std::unique_ptr<RecipeWriter> recipe_;
  std::unique_ptr<tree::LayerTreeBuilder> builder_;
  std::unique_ptr<Split> split_;
  std::unique_ptr<CanonicalTarWriter> tar_;
  int64_t content_size_ = 0;
};

}  // namespace veneer
