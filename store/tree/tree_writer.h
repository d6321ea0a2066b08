// TreeWriter: takes the parts of a tree in whatever order a walk meets them and writes a tree file.
//
// Sections grow in spools, inode records in a sorter, so memory does not grow with the tree. Not
// thread-safe.
#pragma once

#include <string_view>

#include "store/base/result.h"
#include "store/tree/format.h"
#include "store/tree/inode_sorter.h"
#include "store/tree/spool.h"

namespace veneer::tree {

class TreeWriter {
 public:
  // `scratch_dirfd` (borrowed) takes unnamed temporary files.
  explicit TreeWriter(int scratch_dirfd);

  uint64_t dirent_count() const { return dirents_.size() / kDirentSize; }
  uint64_t blob_size() const { return blob_.size(); }

  // Adds a directory entry after those there are, and its name to the blob. The entries of a
  // directory are added in the order of their names, with none of another directory between them.
  Result<> AddDirent(const DirEntry& entry);
  // Adds a name that no entry of this file has; gives its offset.
  Result<uint64_t> AddName(std::string_view name);

  // Adds an inode, or one more name of it: each call with the same number stands for one name
  // (parent, name, name_size), the rest being equal. The names' count becomes nlink, except of
  // directories. `target` counts for symlinks and external links; a regular file's payload is its
  // digest, a directory's its range of entries.
  Result<> AddInode(InodeRecord record, std::string_view target, std::string_view xattrs);

  // Writes the file to `fd` from offset 0. `header` gives kind, chains, offset, limit and name
  // count. The writer is spent.
  Result<> Finish(TreeHeader header, int fd);

 private:
  Result<uint64_t> AppendBlob(std::string_view data);

  InodeSorter inodes_;
  Spool dirents_;
  Spool links_;
  Spool blob_;
  std::string last_xattrs_;
  uint64_t last_xattrs_at_ = 0;
};

}  // namespace veneer::tree
