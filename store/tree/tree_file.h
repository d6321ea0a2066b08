// TreeFile: one tree file, memory-mapped, every access checked (docs/tree-format.md).
//
// Opening maps the file and checks its header and checksum table; every other block is verified
// when first touched, and a bitmap remembers that it was. Whatever the bytes are, a call returns
// what they say or EBADMSG: offsets, counts and lengths are checked against their sections.
// Thread-safe; immutable. Views live as long as the TreeFile.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "store/base/result.h"
#include "store/tree/format.h"
#include "store/tree/types.h"

namespace veneer::tree {

class TreeFile {
 public:
  // Maps `fd`, which is not needed afterwards. EBADMSG: not a tree file, another version, or
  // damaged.
  static Result<std::unique_ptr<TreeFile>> Open(int fd);
  ~TreeFile();
  TreeFile(const TreeFile&) = delete;
  TreeFile& operator=(const TreeFile&) = delete;

  const TreeHeader& header() const { return header_; }
  uint64_t size() const { return size_; }
  uint64_t inode_count() const { return header_.inodes.size / kInodeSize; }
  uint64_t dirent_count() const { return header_.dirents.size / kDirentSize; }

  // The record of `ino`; false where this file has none.
  Result<bool> Find(Ino ino, InodeRecord* record) const;
  Result<InodeRecord> RecordAt(uint64_t index) const;

  // Directory entry number `index` of the file.
  Result<DirEntry> EntryAt(uint64_t index) const;
  // The entry called `name` among those of `dir`.
  Result<std::optional<DirEntry>> FindName(const InodeRecord& dir, std::string_view name) const;
  // Index of the first entry of `dir` whose name is not less than `name` (or, with `after`,
  // greater).
  Result<uint64_t> LowerBound(const InodeRecord& dir, std::string_view name, bool after) const;
  // EBADMSG unless all entries of `dir` are inside the file.
  Result<> CheckRange(const InodeRecord& dir) const;

  // REQUIRES: `record` is from this file.
  Result<std::string_view> Target(const InodeRecord& record) const;
  Result<std::string_view> XattrList(const InodeRecord& record) const;  // encoded
  Result<std::vector<Xattr>> Xattrs(const InodeRecord& record) const;
  Result<std::vector<NameOf>> Names(const InodeRecord& record) const;
  // The name of a directory, or of an inode with one name.
  Result<std::string_view> OwnName(const InodeRecord& record) const;

  Result<> VerifyAll() const;

 private:
  TreeFile(const char* map, uint64_t size);
  Result<> CheckHeader();
  // `size` bytes at `offset` of a section, verified; nullptr where they are damaged or outside of
  // it.
  const char* At(const Section& section, uint64_t offset, uint64_t size) const;
  bool Verify(uint64_t block) const;
  // Reads entry `index` into `*entry`; false where it is damaged.
  bool Load(uint64_t index, DirEntry* entry) const;
  Result<std::string_view> Blob(uint64_t offset, uint64_t size) const;

  const char* map_;
  uint64_t size_;
  TreeHeader header_;
  // A copy, so that a file cut short after it was opened cannot take it away.
  std::vector<uint32_t> checksums_;
  mutable std::vector<std::atomic<uint64_t>> verified_;  // one bit per block
};

// Decodes a list of extended attributes; EBADMSG where it is none.
Result<std::vector<Xattr>> DecodeXattrs(std::string_view list);

// The inode as MergedTree and LayerTree give it out.
Inode ToInode(const InodeRecord& record);

}  // namespace veneer::tree
