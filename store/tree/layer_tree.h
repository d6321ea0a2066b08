// LayerTree: the changes of one layer, read from a memory-mapped file (docs/tree-format.md).
//
// Inode numbers are 1..inode_count(), dense, in the order of the file. Thread-safe; immutable.
// Blocks are verified against their checksums when first touched: a damaged block is EBADMSG from
// whatever call needed it.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "store/base/result.h"
#include "store/base/unique_fd.h"
#include "store/tree/types.h"

namespace veneer::tree {

class TreeFile;

class LayerTree {
 public:
  // Maps `fd` (kept by nobody after the call). EBADMSG: not a layer tree, a version of the future,
  // or damaged.
  static Result<std::unique_ptr<LayerTree>> Open(int fd);
  ~LayerTree();

  uint64_t inode_count() const;
  uint64_t name_count() const;  // directory entries, whiteouts included

  // ENOENT where `ino` is out of range.
  Result<Inode> Get(Ino ino) const;
  // The entry called `name` in directory `dir` (a whiteout included), or nullopt.
  Result<std::optional<DirEntry>> Lookup(Ino dir, std::string_view name) const;
  // Entries of `dir` in byte order of their names. `visit` returns false to stop.
  Result<> ForEach(Ino dir, const std::function<bool(const DirEntry&)>& visit) const;
  Result<std::string> LinkTarget(Ino ino) const;  // symlink target, or the path of an external link
  Result<std::vector<Xattr>> Xattrs(Ino ino) const;  // sorted by name
  Result<std::vector<NameOf>> Names(Ino ino) const;  // all names of a non-directory

  // Calls `visit` for each distinct inode that has an object (unsorted).
  Result<> ForEachObject(const std::function<void(const ObjectId&, uint64_t size)>& visit) const;

  // Verifies every block. EBADMSG names the first bad one.
  Result<> VerifyAll() const;

  const TreeFile& file() const { return *file_; }

 private:
  explicit LayerTree(std::unique_ptr<TreeFile> file);
  std::unique_ptr<TreeFile> file_;
};

}  // namespace veneer::tree
