// The inodes a layer's builder has spooled, and writing its tree file from them and a NameTable.
#pragma once

#include <cstdint>
#include <string>

#include "store/base/result.h"
#include "store/tree/name_table.h"
#include "store/tree/spool.h"
#include "store/tree/walk.h"

namespace veneer::tree {

inline constexpr uint32_t kNoInode = UINT32_MAX;  // a node without attributes: a placeholder

// Inodes in the order they were added, most of them in a temporary file. Not thread-safe.
class InodeSpool {
 public:
  explicit InodeSpool(int dirfd) : spool_(dirfd, size_t{1} << 20), reader_(spool_) {}

  // Gives the inode's index.
  Result<uint32_t> Add(const FullInode& inode);
  // The inode with that index; views live until the next Read or Add.
  Result<FullInode> Read(uint32_t index);
  uint32_t size() const { return static_cast<uint32_t>(offsets_.size()); }

 private:
  Spool spool_;
  SpoolReader reader_;
  ChunkedArray<uint64_t> offsets_;
  std::string data_;
};

// Numbers the inodes in depth-first order of names and writes the layer's tree file to `fd`. Both
// are spent.
Result<> WriteLayerTree(NameTable& names, InodeSpool& inodes, int scratch_dirfd, int fd);

}  // namespace veneer::tree
