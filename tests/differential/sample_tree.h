// The tree a run begins with, made from a seed: hard links, sparse and large files, many small
// ones, xattrs, ACLs, capabilities, setuid files, symlinks, special files, deep and sticky
// directories. Every time in it is an explicit one, long ago, so that a change shows.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "store/base/result.h"

namespace veneer::differential {

Result<> MakeSampleTree(const std::string& dir, uint64_t seed);

// How layers say what is deleted; a chain's are in AUFS form.
enum class LayerForm { kOverlay, kAufs };

// Takes the tree `merged` apart: makes directories below `base` which, stacked, show it again, with
// deleted names, opaque directories, renamed directories (overlayfs form), and files hidden under
// others. Returns them, the top first.
Result<std::vector<std::string>> SplitIntoLayers(const std::string& merged, const std::string& base,
                                                 LayerForm form, uint64_t seed);

}  // namespace veneer::differential
