#include "store/tree/dump.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>

#include <memory>
#include <vector>

#include "store/base/beneath.h"
#include "store/tree/merged_dir.h"
#include "store/tree/tree_file.h"
#include "store/tree/walk.h"

namespace veneer::tree {

namespace {

using LineSink = std::function<void(std::string_view)>;

// The entries of a layer as they are, whiteouts included.
class LayerDir : public DirCursor {
 public:
  LayerDir(const TreeFile& file, const InodeRecord& dir)
      : file_(file), dir_(dir), run_(&file, dir) {}

  Result<bool> Next() override {
    TRY_ASSIGN(bool more, run_.Load());
    if (!more) return false;
    entry_ = run_.entry();
    run_.Advance();
    return true;
  }
  void Rewind() override { run_.Rewind(); }
  Result<FullInode> Inode() override {
    TRY_ASSIGN(InodeRecord record, file_.RecordAt(entry_.ino - 1));
    return Complete(file_, record);
  }
  Result<std::unique_ptr<DirCursor>> Enter() override {
    TRY_ASSIGN(InodeRecord record, file_.RecordAt(entry_.ino - 1));
    TRY(CheckDirectory(file_, record, dir_.ino, entry_.name));
    TRY(file_.CheckRange(record));
    return std::make_unique<LayerDir>(file_, record);
  }

 private:
  const TreeFile& file_;
  InodeRecord dir_;
  Run run_;
};

void AppendEscaped(std::string& out, std::string_view text) {
  for (unsigned char c : text) {
    if (c > ' ' && c < 0x7f && c != '\\') {
      out += static_cast<char>(c);
    } else {
      fmt::format_to(std::back_inserter(out), "\\x{:02x}", c);
    }
  }
}

Result<> AppendInode(std::string& out, const FullInode& inode) {
  const InodeRecord& r = inode.record;
  auto to = std::back_inserter(out);
  if (r.flags & kExternalLink) {
    fmt::format_to(to, " link {} {} -> ", r.ino, r.nlink);
    AppendEscaped(out, inode.target);
    return {};
  }
  fmt::format_to(to, " {:06o} {}:{} {} {}.{:09} {} {} {}:{} ", r.mode, r.uid, r.gid, r.size,
                 r.mtime_sec, r.mtime_nsec, r.ino, r.nlink, r.rdev_major, r.rdev_minor);
  if (r.IsRegular() && r.size > 0) {
    out += Digest::FromBytes(r.payload.data()).ToString();
  } else {
    out += '-';
  }
  if (r.HasTarget()) {
    out += " -> ";
    AppendEscaped(out, inode.target);
  }
  if (r.flags & kOpaque) out += " opaque";
  if (r.flags & kPlaceholder) out += " placeholder";
  TRY_ASSIGN(std::vector<Xattr> xattrs, DecodeXattrs(inode.xattrs));
  for (const Xattr& x : xattrs) {
    out += ' ';
    AppendEscaped(out, x.name);
    out += '=';
    for (unsigned char c : x.value) fmt::format_to(to, "{:02x}", c);
  }
  return {};
}

Result<> DumpWalk(const FullInode& root, std::unique_ptr<DirCursor> dir, const LineSink& line) {
  struct Frame {
    std::unique_ptr<DirCursor> cursor;
    size_t path_size;
  };
  std::string path;
  std::string text = "/";
  TRY(AppendInode(text, root));
  line(text);
  std::vector<Frame> stack;
  stack.push_back({std::move(dir), 0});
  while (!stack.empty()) {
    Frame& top = stack.back();
    path.resize(top.path_size);
    TRY_ASSIGN(bool more, top.cursor->Next());
    if (!more) {
      stack.pop_back();
      continue;
    }
    const DirEntry& entry = top.cursor->entry();
    path += '/';
    path += entry.name;
    text.clear();
    AppendEscaped(text, path);
    if (entry.ino == kNoIno) {
      text += " whiteout";
      line(text);
      continue;
    }
    TRY_ASSIGN(FullInode inode, top.cursor->Inode());
    if (inode.record.IsDir() != (entry.type == DT_DIR)) {
      return Invalid("tree file is damaged: entry", EBADMSG);
    }
    TRY(AppendInode(text, inode));
    line(text);
    if (entry.type == DT_DIR) {
      TRY_ASSIGN(std::unique_ptr<DirCursor> child, top.cursor->Enter());
      stack.push_back({std::move(child), path.size()});
    }
  }
  return {};
}

}  // namespace

Result<> Dump(const LayerTree& tree, const LineSink& line) {
  const TreeFile& file = tree.file();
  TRY_ASSIGN(InodeRecord root, file.RecordAt(kRootIno - 1));
  if (!root.IsDir()) return Invalid("tree file is damaged: root", EBADMSG);
  TRY(file.CheckRange(root));
  TRY_ASSIGN(FullInode inode, Complete(file, root));
  return DumpWalk(inode, std::make_unique<LayerDir>(file, root), line);
}

Result<> Dump(const MergedTree& tree, const LineSink& line) {
  TRY_ASSIGN(FullInode inode, FullInodeOf(tree, kRootIno));
  TRY_ASSIGN(std::unique_ptr<DirCursor> dir, MergedDir::Open(tree, kRootIno));
  return DumpWalk(inode, std::move(dir), line);
}

Result<> DumpFile(const std::string& path, const LineSink& line) {
  TRY_ASSIGN(UniqueFd fd, OpenAt(AT_FDCWD, path, O_RDONLY));
  TRY_ASSIGN(std::unique_ptr<TreeFile> file, TreeFile::Open(fd.get()));
  if (file->header().kind == TreeKind::kLayer) {
    TRY_ASSIGN(std::unique_ptr<LayerTree> layer, LayerTree::Open(fd.get()));
    return Dump(*layer, line);
  }
  size_t slash = path.rfind('/');
  std::string dir = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  TRY_ASSIGN(UniqueFd dirfd, OpenAt(AT_FDCWD, dir, O_PATH | O_DIRECTORY));
  TRY_ASSIGN(
      std::unique_ptr<MergedTree> tree,
      MergedTree::Open(dirfd.get(), path.substr(slash == std::string::npos ? 0 : slash + 1)));
  return Dump(*tree, line);
}

}  // namespace veneer::tree
