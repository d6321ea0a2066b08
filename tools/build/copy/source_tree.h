// SourceTree: where COPY and ADD read from: a directory of the host, or a chain of the store.
//
// Paths are relative to the root of the tree, clean, without a leading "/"; "" is the root. Nothing
// leads out of the root: symlinks, absolute ones too, are followed inside it. Thread-safe.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "store/base/digest.h"
#include "store/base/result.h"
#include "store/base/unique_fd.h"
#include "store/store.h"
#include "store/tree/merged_tree.h"
#include "store/tree/types.h"
#include "tools/build/language/ignore_file.h"

namespace veneer::build {

struct SourceEntry {
  std::string path;
  tree::Attributes attr;
  std::vector<tree::Xattr> xattrs;  // sorted by name; of a directory of the host only those that
                                    // Docker copies: security.capability and user.*
  std::string link_target;          // symlinks
  ObjectId object;                  // of a chain: the content, if the file is not empty
  uint64_t inode = 0;               // the same for the names of one file (with `device`)
  uint64_t device = 0;
  uint64_t links = 1;
};

class SourceTree {
 public:
  virtual ~SourceTree() = default;
  // ENOENT where there is none. The last component is not followed.
  virtual Result<SourceEntry> Stat(const std::string& path) const = 0;
  // Names in a directory, sorted by bytes. What an ignore file leaves out is not there, but for
  // directories that hold exceptions.
  virtual Result<std::vector<std::string>> List(const std::string& path) const = 0;
  // A regular file, O_RDONLY, from its start.
  virtual Result<UniqueFd> Open(const std::string& path) const = 0;
};

// A directory of the host. `ignore` (may be null) must outlive it. Owners are 0:0 and modes as they
// are, as in a context that BuildKit's client sent.
Result<std::unique_ptr<SourceTree>> OpenDirectorySource(const std::string& directory,
                                                        const IgnoreMatcher* ignore);

// A chain: `chain` and `store`'s objects. Owners and all xattrs are kept.
std::unique_ptr<SourceTree> OpenChainSource(const Store& store,
                                            std::shared_ptr<const tree::MergedTree> chain);

}  // namespace veneer::build
