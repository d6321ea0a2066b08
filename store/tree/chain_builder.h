// Building the merged tree of a chain: from all of its layers, or from its parent's tree and one
// more layer.
#pragma once

#include <memory>
#include <span>

#include "store/base/digest.h"
#include "store/base/result.h"
#include "store/tree/layer_tree.h"
#include "store/tree/merged_tree.h"

namespace veneer::tree {

// Merges `layers` (lowest first; at least one) into one base file written to `fd` from offset 0,
// streaming: memory does not grow with the number of names except for those of hard-linked inodes.
// `scratch_dirfd` takes unnamed temporary files. `chain` is stored in the header.
Result<> BuildBase(std::span<const LayerTree* const> layers, const ChainId& chain,
                   int scratch_dirfd, int fd);

// Applies `layer` to `parent`, the tree of `parent_chain`. Writes a delta on parent's newest file
// when parent has fewer than kMaxDeltas deltas and they and this one stay below a quarter of the
// base; else folds all into a new base. Either way every inode number equals BuildBase's for the
// same layers.
Result<> BuildNext(const MergedTree& parent, const ChainId& parent_chain, const LayerTree& layer,
                   const ChainId& chain, int scratch_dirfd, int fd);

}  // namespace veneer::tree
