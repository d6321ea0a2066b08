// MergedTree: the directory tree of a whole chain: one base file plus at most kMaxDeltas delta
// files, memory-mapped.
//
// Looking a name up costs a binary search per file, whatever the number of layers. Inode numbers
// are a function of the chain's layers alone (docs/tree-format.md "Inode numbers"), so a rebuilt or
// folded tree has the same ones. Thread-safe; immutable. Opening reads headers only; a damaged
// block is EBADMSG from whatever call first needs it.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "store/base/digest.h"
#include "store/base/result.h"
#include "store/base/unique_fd.h"
#include "store/tree/format.h"
#include "store/tree/types.h"

namespace veneer::tree {

inline constexpr int kMaxDeltas = 8;

class TreeFile;

class MergedTree {
 public:
  // Opens the tree `name` (hex ChainID) in directory `dirfd`, and the bases it names, from the same
  // directory. ENOENT: it or a base is missing. EBADMSG: damaged, another version, or not a chain's
  // tree.
  static Result<std::unique_ptr<MergedTree>> Open(int dirfd, const std::string& name);
  // The empty tree: a root directory 0755 root:root, mtime 0 (what an image without layers mounts).
  static std::unique_ptr<MergedTree> Empty();
  ~MergedTree();

  Ino ino_limit() const;        // every inode number is below it
  uint64_t name_count() const;  // names reachable from the root (an upper bound for deltas)
  int delta_count() const;
  std::vector<std::string> file_names() const;  // the files it was opened from, newest first

  Result<Inode> Get(Ino ino) const;  // ENOENT for an unknown number
  // The inode number of `name` in `dir`, with its DT_ type; nullopt where there is none.
  Result<std::optional<DirEntry>> Lookup(Ino dir, std::string_view name) const;
  // Path of components from the root, symlinks not followed. nullopt where there is none.
  Result<std::optional<Ino>> LookupPath(std::string_view path) const;
  // Entries of `dir` in byte order of their names, those after `after` (empty: from the start).
  // `visit` returns false to stop. Names are unique and "." and ".." are not among them.
  Result<> ForEach(Ino dir, std::string_view after,
                   const std::function<bool(const DirEntry&)>& visit) const;
  Result<std::string> LinkTarget(Ino ino) const;
  Result<std::vector<Xattr>> Xattrs(Ino ino) const;
  Result<std::vector<NameOf>> Names(Ino ino) const;  // all names of an inode, links included

  Result<> VerifyAll() const;

  // For the parts of store/tree. The record of `ino` and the file it is in (null: the empty tree's
  // root); false where there is none.
  struct Found {
    InodeRecord record;
    const TreeFile* file = nullptr;
  };
  Result<bool> Find(Ino ino, Found* found) const;
  const std::vector<std::shared_ptr<const TreeFile>>& files() const {
    return files_;
  }  // newest first
  // The tree that `delta` makes of `parent`'s files.
  static std::unique_ptr<MergedTree> Apply(std::shared_ptr<const TreeFile> delta,
                                           const MergedTree& parent);

 private:
  MergedTree();
  std::vector<std::shared_ptr<const TreeFile>> files_;  // newest first; the last is the base
  std::vector<std::string> names_;
};

}  // namespace veneer::tree
