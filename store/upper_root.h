// The root directory of a new upper.
#pragma once

#include "store/base/result.h"
#include "store/tree/merged_tree.h"

namespace veneer {

// Gives the directory `upper` the owner, mode, modification time and attributes of the chain's
// root: the upper's root is what the mount's root shows. Owners, and what xattrs may not be set,
// are left out without privileges: the mount shows such a root as its own.
Result<> CopyRootAttributes(const tree::MergedTree& chain, int upper);

}  // namespace veneer
