// DirCursor: the entries of one directory of a tree, whatever the tree is made of, and writing a
// tree from them.
//
// Layers being merged, merged trees being folded, the names a builder collected and the dump all
// walk a tree the same way: one cursor per directory on an explicit stack, since the depth of a
// tree is the archive's to choose.
#pragma once

#include <memory>
#include <string_view>

#include "store/base/result.h"
#include "store/tree/format.h"
#include "store/tree/tree_file.h"
#include "store/tree/tree_writer.h"
#include "store/tree/types.h"

namespace veneer::tree {

// An inode with its strings. Views live until a cursor of the same tree is next asked for an inode,
// or longer.
struct FullInode {
  InodeRecord record;
  std::string_view target;
  std::string_view xattrs;  // encoded
};

// `record` of `file` with the strings it refers to.
Result<FullInode> Complete(const TreeFile& file, const InodeRecord& record);

// EBADMSG unless `record`, of `file`, is the directory that `dir` calls `name`. A walk that enters
// only such directories ends, whatever the file says.
Result<> CheckDirectory(const TreeFile& file, const InodeRecord& record, Ino dir,
                        std::string_view name);

class DirCursor {
 public:
  virtual ~DirCursor() = default;
  // Moves to the next entry (at first: to the first); false at the end. Names come in byte order.
  virtual Result<bool> Next() = 0;
  // Back to before the first entry.
  virtual void Rewind() = 0;
  const DirEntry& entry() const { return entry_; }
  // The inode of the current entry. Only record.ino, attributes, flags and digest mean anything.
  // REQUIRES: the entry is not a whiteout.
  virtual Result<FullInode> Inode() = 0;
  // A cursor over the current entry. REQUIRES: it is a directory.
  virtual Result<std::unique_ptr<DirCursor>> Enter() = 0;

 protected:
  DirEntry entry_;
};

// Hands the whole tree below `dir` (whose inode is `inode`) to `writer`: records, entries, names
// and strings, in depth-first order of names. Links, link counts and parents are worked out here.
Result<> WriteTree(const FullInode& inode, std::unique_ptr<DirCursor> dir, TreeWriter& writer);

// A directory's entries in one file, read one after the other.
class Run {
 public:
  Run() = default;
  Run(const TreeFile* file, const InodeRecord& dir)
      : file_(file), first_(dir.first()), end_(dir.first() + dir.count()), at_(first_) {}

  // False at the end, else entry() is the entry the run stands at.
  Result<bool> Load() {
    if (at_ >= end_) return false;
    TRY_ASSIGN(entry_, file_->EntryAt(at_));
    return true;
  }
  void Advance() { ++at_; }
  void Rewind() { at_ = first_; }
  void Seek(uint64_t index) { at_ = index; }
  const DirEntry& entry() const { return entry_; }
  const TreeFile& file() const { return *file_; }

 private:
  const TreeFile* file_ = nullptr;
  uint64_t first_ = 0;
  uint64_t end_ = 0;
  uint64_t at_ = 0;
  DirEntry entry_;
};

}  // namespace veneer::tree
