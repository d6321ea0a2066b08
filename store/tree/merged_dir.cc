#include "store/tree/merged_dir.h"

namespace veneer::tree {

Result<> MergedEntries::Open(const MergedTree& tree, Ino dir, std::string_view after) {
  count_ = 0;
  InodeRecord record;
  bool known = tree.files().empty() && dir == kRootIno;
  for (const auto& file : tree.files()) {
    TRY_ASSIGN(bool found, file->Find(dir, &record));
    if (!found) continue;
    known = true;
    if (!record.IsDir()) return Fail(ENOTDIR, "tree directory");
    TRY(file->CheckRange(record));
    if (count_ == runs_.size()) return Invalid("tree has too many deltas", EBADMSG);
    Run& run = runs_[count_++] = Run(file.get(), record);
    if (!after.empty()) {
      TRY_ASSIGN(uint64_t index, file->LowerBound(record, after, true));
      run.Seek(index);
    }
    if (!(record.flags & kPartial)) break;
  }
  if (!known) return Fail(ENOENT, "tree inode");
  return {};
}

void MergedEntries::Rewind() {
  for (size_t i = 0; i < count_; ++i) runs_[i].Rewind();
}

Result<bool> MergedEntries::Next() {
  while (true) {
    Run* first = nullptr;
    bool more[kMaxDeltas + 2];
    for (size_t i = 0; i < count_; ++i) {
      TRY_ASSIGN(more[i], runs_[i].Load());
      if (more[i] && (!first || runs_[i].entry().name < first->entry().name)) first = &runs_[i];
    }
    if (!first) return false;
    entry_ = first->entry();
    for (size_t i = 0; i < count_; ++i) {
      if (more[i] && runs_[i].entry().name == entry_.name) runs_[i].Advance();
    }
    if (entry_.ino != kNoIno) return true;
  }
}

Result<std::unique_ptr<DirCursor>> MergedDir::Open(const MergedTree& tree, Ino dir) {
  std::unique_ptr<MergedDir> cursor(new MergedDir(tree, dir));
  TRY(cursor->entries_.Open(tree, dir, {}));
  return cursor;
}

Result<bool> MergedDir::Next() {
  TRY_ASSIGN(bool more, entries_.Next());
  entry_ = entries_.entry();
  return more;
}

Result<FullInode> MergedDir::Inode() {
  Result<FullInode> inode = FullInodeOf(tree_, entry_.ino);
  if (!inode && inode.error().code() == ENOENT) {
    return Invalid("tree file is damaged: entry without inode", EBADMSG);
  }
  return inode;
}

Result<std::unique_ptr<DirCursor>> MergedDir::Enter() {
  MergedTree::Found found;
  TRY_ASSIGN(bool known, tree_.Find(entry_.ino, &found));
  if (!known) return Invalid("tree file is damaged: entry without inode", EBADMSG);
  TRY(CheckDirectory(*found.file, found.record, dir_, entry_.name));
  return Open(tree_, entry_.ino);
}

Result<FullInode> FullInodeOf(const MergedTree& tree, Ino ino) {
  MergedTree::Found found;
  TRY_ASSIGN(bool known, tree.Find(ino, &found));
  if (!known) return Fail(ENOENT, "tree inode");
  found.record.flags = 0;
  if (!found.file) return FullInode{.record = found.record, .target = {}, .xattrs = {}};
  return Complete(*found.file, found.record);
}

}  // namespace veneer::tree
