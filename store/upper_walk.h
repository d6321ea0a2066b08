// Walking the upper of a store container: the set of changes on its chain, in sorted order
// (docs/upper-format.md, "Reading an upper"). `diff` prints them, `commit` makes a layer of them.
// Reads the upper and looks names up in the merged tree; never walks the merged view, but for what
// a renamed directory carries along.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "store/base/digest.h"
#include "store/base/result.h"
#include "store/base/unique_fd.h"
#include "store/tree/merged_tree.h"
#include "store/tree/types.h"

namespace veneer {

enum class ChangeKind : char { kAdded = 'A', kModified = 'C', kDeleted = 'D' };

struct UpperChange {
  std::string path;  // from the root, without a leading "/"; "" is the root itself
  ChangeKind kind = ChangeKind::kAdded;

  // kDeleted: the rest is unset. `covered`: a layer needs no whiteout for it, an opaque directory
  // above says it.
  bool covered = false;

  // It stands as the chain has it, and a layer must say it all the same: an opaque directory above
  // hides the chain's.
  bool unchanged = false;

  tree::Attributes attr;
  std::vector<tree::Xattr> xattrs;  // as users see them, sorted by name; the markers are gone
  std::string link_target;          // symlinks
  std::string hard_link;  // not empty: another name of the file this walk gave as that path
  bool opaque = false;    // directories: hides the chain's directory of this path
  ObjectId object;        // not zero: the content is this object (attr.size bytes)
  // Regular files whose content is in the upper: opens it O_RDONLY. Valid during the call of the
  // visitor only.
  std::function<Result<UniqueFd>()> open;
};

// Calls `visit` for each change: a directory before what is in it, names in byte order. A directory
// of the chain is given only when it differs itself or something below it changed. Sockets are left
// out (no layer can hold one).
Result<> WalkUpper(int upper_fd, const tree::MergedTree& chain,
                   const std::function<Result<>(const UpperChange&)>& visit);

}  // namespace veneer
