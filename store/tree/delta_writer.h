// DeltaWriter: what one layer changes in a chain's tree, found by walking the layer, not the tree.
//
// Only directories the layer names are looked at, and subtrees it removes (for the names of
// hard-linked inodes in them).
#pragma once

#include <optional>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "store/base/digest.h"
#include "store/base/result.h"
#include "store/tree/layer_tree.h"
#include "store/tree/merged_tree.h"
#include "store/tree/tree_writer.h"

namespace veneer::tree {

class DeltaWriter {
 public:
  // All are borrowed. REQUIRES: `parent` is made of at least one layer.
  DeltaWriter(const MergedTree& parent, const LayerTree& layer, int scratch_dirfd);

  // Writes the delta of `chain` on `parent_chain` to `fd` from offset 0. Call once.
  Result<> Write(const ChainId& parent_chain, const ChainId& chain, int fd);

 private:
  // A directory of the layer still to be gone through.
  struct Task {
    Ino local;                      // in the layer
    Ino ino;                        // in the chain
    Ino parent;                     // in the chain
    std::string_view name;          // empty: the root
    std::optional<uint64_t> entry;  // where this file's blob has the name, if an entry was written
    bool merged;                    // joins the parent's directory `ino`
    Ino inherit;  // a directory whose attributes a placeholder has; kNoIno: the default
  };
  // Names that an inode of the parent loses and gains.
  struct LinkChange {
    std::vector<NameOf> removed;
    std::vector<NameOf> added;
  };
  struct Target {
    Ino ino;
    uint8_t type;
  };

  Result<> ResolveExternalLinks();
  Result<Target> ResolveExternalLink(std::string_view path) const;
  Result<> WriteDirectory(const Task& task);
  Result<> WriteEntry(const Task& task, const DirEntry& entry, std::optional<DirEntry> old,
                      int64_t* subdirs);
  Result<> WriteDirectoryRecord(const Task& task, const InodeRecord& in_layer, uint64_t first,
                                int64_t subdirs);
  // The layer's root is opaque: everything of the parent goes, the root itself stays.
  Result<> ReplaceRoot();
  Result<> Remove(Ino dir, const DirEntry& entry);
  Result<> RemoveName(Ino dir, const DirEntry& entry);
  Result<> WriteLinkChanges();
  Result<> AddEntry(const DirEntry& entry, uint64_t* name);

  const MergedTree& parent_;
  const LayerTree& layer_;
  const Ino offset_;
  TreeWriter writer_;
  std::vector<Task> tasks_;
  std::unordered_map<Ino, Target> external_;   // by the layer's number
  std::unordered_map<Ino, LinkChange> links_;  // by the chain's number
  uint64_t names_;
};

}  // namespace veneer::tree
