// MergedDir: the entries of one directory of a MergedTree, from all of its files at once.
#pragma once

#include <array>
#include <memory>

#include "store/tree/merged_tree.h"
#include "store/tree/walk.h"

namespace veneer::tree {

// The newest file that has a name decides it; whiteouts are passed over. Allocates nothing.
class MergedEntries {
 public:
  // Entries of `dir` after the name `after` (empty: all). ENOENT, ENOTDIR.
  Result<> Open(const MergedTree& tree, Ino dir, std::string_view after);
  Result<bool> Next();
  void Rewind();
  const DirEntry& entry() const { return entry_; }

 private:
  std::array<Run, kMaxDeltas + 2>
      runs_;  // newest first; one more than a tree opened from files has, for a fold
  size_t count_ = 0;
  DirEntry entry_;
};

class MergedDir : public DirCursor {
 public:
  static Result<std::unique_ptr<DirCursor>> Open(const MergedTree& tree, Ino dir);

  Result<bool> Next() override;
  void Rewind() override { entries_.Rewind(); }
  Result<FullInode> Inode() override;
  Result<std::unique_ptr<DirCursor>> Enter() override;

 private:
  MergedDir(const MergedTree& tree, Ino dir) : tree_(tree), dir_(dir) {}

  const MergedTree& tree_;
  Ino dir_;
  MergedEntries entries_;
};

// Inode `ino` with its strings. ENOENT for an unknown number.
Result<FullInode> FullInodeOf(const MergedTree& tree, Ino ino);

}  // namespace veneer::tree
