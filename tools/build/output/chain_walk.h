// Walking a chain's merged tree as exports do: every name in it, with all that a tar or a directory
// needs to know.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "store/base/digest.h"
#include "store/base/result.h"
#include "store/tree/merged_tree.h"
#include "store/tree/types.h"

namespace veneer::build {

struct ChainEntry {
  std::string path;                 // from the root, without a leading "/"
  tree::Attributes attr;            // mode has the type
  ObjectId object;                  // of a regular file that is not empty
  std::vector<tree::Xattr> xattrs;  // sorted by name
  std::string link_target;          // of a symlink
  std::string first_name;           // not empty: another name of the file visited as this
};

// Visits what is below the root, in byte order of names, a directory before what is in it. Later
// modification times than `latest_mtime` (seconds since the epoch) come as that. EBADMSG: damaged.
Result<> WalkChain(const tree::MergedTree& tree, std::optional<int64_t> latest_mtime,
                   const std::function<Result<>(const ChainEntry&)>& visit);

}  // namespace veneer::build
