// Text dump of tree files, one line per name, for people, tests and golden files.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "store/base/result.h"
#include "store/tree/layer_tree.h"
#include "store/tree/merged_tree.h"

namespace veneer::tree {

// Each calls `line` with one line (no newline) in depth-first byte order of paths. The format is in
// docs/tree-format.md "Dump".
Result<> Dump(const LayerTree& tree, const std::function<void(std::string_view)>& line);
Result<> Dump(const MergedTree& tree, const std::function<void(std::string_view)>& line);

// Dumps the tree file at `path` (layer or chain; a delta's bases are looked for beside it).
Result<> DumpFile(const std::string& path, const std::function<void(std::string_view)>& line);

}  // namespace veneer::tree
