#include "store/tree/walk.h"

#include <dirent.h>

#include <vector>

namespace veneer::tree {

Result<FullInode> Complete(const TreeFile& file, const InodeRecord& record) {
  FullInode inode{.record = record, .target = {}, .xattrs = {}};
  if (record.HasTarget()) {
    TRY_ASSIGN(inode.target, file.Target(record));
  }
  TRY_ASSIGN(inode.xattrs, file.XattrList(record));
  return inode;
}

Result<> CheckDirectory(const TreeFile& file, const InodeRecord& record, Ino dir,
                        std::string_view name) {
  TRY_ASSIGN(std::string_view own, file.OwnName(record));
  if (record.IsDir() && record.parent == dir && own == name) return {};
  return Invalid("tree file is damaged: directory", EBADMSG);
}

namespace {

class TreeCopier {
 public:
  explicit TreeCopier(TreeWriter& writer) : writer_(writer) {}

  Result<> Run(const FullInode& root, std::unique_ptr<DirCursor> cursor) {
    FullInode inode = root;
    inode.record.parent = inode.record.ino;
    inode.record.name = inode.record.name_size = 0;
    TRY(EnterDir(inode, std::move(cursor)));
    while (!stack_.empty()) {
      Frame& top = stack_.back();
      TRY_ASSIGN(bool more, top.cursor->Next());
      if (!more) {
        stack_.pop_back();
        continue;
      }
      DirEntry entry = top.cursor->entry();
      uint64_t name = top.next_name;
      top.next_name += entry.name.size();
      if (entry.ino == kNoIno) continue;
      TRY_ASSIGN(inode, top.cursor->Inode());
      inode.record.ino = entry.ino;
      inode.record.parent = top.ino;
      inode.record.name = name;
      inode.record.name_size = static_cast<uint32_t>(entry.name.size());
      if (inode.record.IsDir() != (entry.type == DT_DIR)) {
        return Invalid("tree file is damaged: entry", EBADMSG);
      }
      if (entry.type == DT_DIR) {
        TRY_ASSIGN(std::unique_ptr<DirCursor> child, top.cursor->Enter());
        TRY(EnterDir(inode, std::move(child)));
      } else {
        TRY(writer_.AddInode(inode.record, inode.target, inode.xattrs));
      }
    }
    return {};
  }

 private:
  struct Frame {
    std::unique_ptr<DirCursor> cursor;
    Ino ino;
    uint64_t next_name;  // where the next entry's name stands in the blob
  };

  // Entries first, all together; then the directory's own record; its children follow when the
  // frame is on top.
  Result<> EnterDir(FullInode& inode, std::unique_ptr<DirCursor> cursor) {
    uint64_t first = writer_.dirent_count();
    uint64_t first_name = writer_.blob_size();
    uint32_t subdirs = 0;
    while (true) {
      TRY_ASSIGN(bool more, cursor->Next());
      if (!more) break;
      subdirs += cursor->entry().type == DT_DIR;
      TRY(writer_.AddDirent(cursor->entry()));
    }
    inode.record.nlink = 2 + subdirs;
    inode.record.SetRange(first, writer_.dirent_count() - first);
    TRY(writer_.AddInode(inode.record, {}, inode.xattrs));
    cursor->Rewind();
    stack_.push_back({std::move(cursor), inode.record.ino, first_name});
    return {};
  }

  TreeWriter& writer_;
  std::vector<Frame> stack_;
};

}  // namespace

Result<> WriteTree(const FullInode& inode, std::unique_ptr<DirCursor> dir, TreeWriter& writer) {
  return TreeCopier(writer).Run(inode, std::move(dir));
}

}  // namespace veneer::tree
