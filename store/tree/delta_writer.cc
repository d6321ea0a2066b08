#include "store/tree/delta_writer.h"

#include <dirent.h>

#include <algorithm>
#include <memory>
#include <string>
#include <tuple>

#include "store/tree/merged_dir.h"
#include "store/tree/path_walk.h"
#include "store/tree/tree_file.h"
#include "store/tree/walk.h"

namespace veneer::tree {

namespace {

bool NameLess(const NameOf& a, const NameOf& b) {
  return std::tie(a.parent, a.name) < std::tie(b.parent, b.name);
}

bool SameName(const NameOf& a, const NameOf& b) { return a.parent == b.parent && a.name == b.name; }

}  // namespace

DeltaWriter::DeltaWriter(const MergedTree& parent, const LayerTree& layer, int scratch_dirfd)
    : parent_(parent),
      layer_(layer),
      offset_(parent.ino_limit() - 1),
      writer_(scratch_dirfd),
      names_(parent.name_count()) {}

Result<> DeltaWriter::Write(const ChainId& parent_chain, const ChainId& chain, int fd) {
  TRY(ResolveExternalLinks());
  TRY_ASSIGN(InodeRecord root, layer_.file().RecordAt(kRootIno - 1));
  bool replaced = root.flags & kOpaque;
  if (replaced) TRY(ReplaceRoot());
  tasks_.push_back({.local = kRootIno,
                    .ino = kRootIno,
                    .parent = kRootIno,
                    .name = {},
                    .entry = std::nullopt,
                    .merged = !replaced,
                    .inherit = kRootIno});
  while (!tasks_.empty()) {
    Task task = tasks_.back();
    tasks_.pop_back();
    TRY(WriteDirectory(task));
  }
  TRY(WriteLinkChanges());
  TreeHeader header;
  header.kind = TreeKind::kDelta;
  header.chain = chain;
  header.parent = parent_chain;
  header.ino_offset = offset_;
  header.ino_limit = offset_ + layer_.inode_count() + 1;
  header.name_count = names_;
  return writer_.Finish(header, fd);
}

Result<> DeltaWriter::ResolveExternalLinks() {
  for (Ino local = 1; local <= layer_.inode_count(); ++local) {
    TRY_ASSIGN(InodeRecord record, layer_.file().RecordAt(local - 1));
    if (!(record.flags & kExternalLink)) continue;
    TRY_ASSIGN(std::string_view path, layer_.file().Target(record));
    TRY_ASSIGN(Target target, ResolveExternalLink(path));
    external_[local] = target;
    links_[target.ino];  // its names are followed from here on, even if it has only one
  }
  return {};
}

Result<DeltaWriter::Target> DeltaWriter::ResolveExternalLink(std::string_view path) const {
  auto look = [this](Ino dir, std::string_view name) -> Result<Step<Ino, DirEntry>> {
    TRY_ASSIGN(std::optional<DirEntry> entry, parent_.Lookup(dir, name));
    Step<Ino, DirEntry> step;
    if (entry && entry->type == DT_DIR) step.dir = entry->ino;
    if (entry && entry->type != DT_DIR) step.leaf = entry;
    return step;
  };
  auto read_link = [this](const DirEntry& leaf) -> Result<std::optional<std::string>> {
    if (leaf.type != DT_LNK) return std::nullopt;
    TRY_ASSIGN(std::string target, parent_.LinkTarget(leaf.ino));
    return target;
  };
  TRY_ASSIGN(std::optional<DirEntry> found,
             (ResolveLeaf<Ino, DirEntry>(kRootIno, path, look, read_link)));
  if (!found) {
    return Invalid("hard link to \"" + std::string(path) + "\", which no layer below has", EBADMSG);
  }
  return Target{.ino = found->ino, .type = found->type};
}

Result<> DeltaWriter::WriteDirectory(const Task& task) {
  const TreeFile& file = layer_.file();
  TRY_ASSIGN(InodeRecord record, file.RecordAt(task.local - 1));
  TRY(file.CheckRange(record));
  uint64_t first = writer_.dirent_count();
  int64_t subdirs = 0;
  for (uint64_t i = 0; i < record.count(); ++i) {
    TRY_ASSIGN(DirEntry entry, file.EntryAt(record.first() + i));
    std::optional<DirEntry> old;
    if (task.merged) {
      TRY_ASSIGN(old, parent_.Lookup(task.ino, entry.name));
    }
    TRY(WriteEntry(task, entry, old, &subdirs));
  }
  return WriteDirectoryRecord(task, record, first, subdirs);
}

Result<> DeltaWriter::WriteEntry(const Task& task, const DirEntry& entry,
                                 std::optional<DirEntry> old, int64_t* subdirs) {
  const TreeFile& file = layer_.file();
  bool old_is_dir = old && old->type == DT_DIR;
  if (entry.ino == kNoIno) {
    if (!old) return {};
    *subdirs -= old_is_dir;
    TRY(Remove(task.ino, *old));
    return writer_.AddDirent(entry);
  }
  TRY_ASSIGN(InodeRecord record, file.RecordAt(entry.ino - 1));
  Task child{.local = entry.ino,
             .ino = offset_ + entry.ino,
             .parent = task.ino,
             .name = entry.name,
             .entry = std::nullopt,
             .merged = false,
             .inherit = kNoIno};
  if (entry.type == DT_DIR) {
    TRY(CheckDirectory(file, record, task.local, entry.name));
    if (old_is_dir) child.inherit = old->ino;
    if (old_is_dir && !(record.flags & kOpaque)) {
      child.ino = old->ino;
      child.merged = true;
      tasks_.push_back(child);
      return {};
    }
  }
  if (old) {
    *subdirs -= old_is_dir;
    TRY(Remove(task.ino, *old));
  }
  uint64_t name = 0;
  if (entry.type == DT_DIR) {
    ++*subdirs;
    TRY(AddEntry({.name = entry.name, .ino = child.ino, .type = DT_DIR}, &name));
    child.entry = name;
    tasks_.push_back(child);
    return {};
  }
  if (record.IsDir()) return Invalid("tree file is damaged: entry", EBADMSG);
  if (record.flags & kExternalLink) {
    const Target& target = external_.at(entry.ino);
    links_[target.ino].added.push_back({.parent = task.ino, .name = std::string(entry.name)});
    return AddEntry({.name = entry.name, .ino = target.ino, .type = target.type}, &name);
  }
  TRY(AddEntry({.name = entry.name, .ino = child.ino, .type = entry.type}, &name));
  TRY_ASSIGN(FullInode inode, Complete(file, record));
  inode.record.ino = child.ino;
  inode.record.flags = 0;
  inode.record.parent = task.ino;
  inode.record.name = name;
  inode.record.name_size = static_cast<uint32_t>(entry.name.size());
  return writer_.AddInode(inode.record, inode.target, inode.xattrs);
}

Result<> DeltaWriter::WriteDirectoryRecord(const Task& task, const InodeRecord& in_layer,
                                           uint64_t first, int64_t subdirs) {
  uint64_t count = writer_.dirent_count() - first;
  bool described = !(in_layer.flags & kPlaceholder);
  if (task.merged && !described && count == 0) return {};
  FullInode inode{.record = InodeRecord::DefaultDir(task.ino), .target = {}, .xattrs = {}};
  if (described) {
    TRY_ASSIGN(inode, Complete(layer_.file(), in_layer));
  } else if (task.inherit != kNoIno) {
    TRY_ASSIGN(inode, FullInodeOf(parent_, task.inherit));
  }
  InodeRecord& r = inode.record;
  int64_t nlink = 2 + subdirs;
  if (task.merged) {
    TRY_ASSIGN(FullInode old, FullInodeOf(parent_, task.ino));
    nlink = old.record.nlink + subdirs;
  }
  r.nlink = static_cast<uint32_t>(nlink);
  r.flags = task.merged ? uint32_t{kPartial} : 0;
  r.ino = task.ino;
  r.parent = task.parent;
  r.name_size = static_cast<uint32_t>(task.name.size());
  r.name = 0;
  if (task.entry) {
    r.name = *task.entry;
  } else if (!task.name.empty()) {
    TRY_ASSIGN(r.name, writer_.AddName(task.name));
  }
  r.SetRange(first, count);
  return writer_.AddInode(r, {}, inode.xattrs);
}

Result<> DeltaWriter::ReplaceRoot() {
  TRY_ASSIGN(std::unique_ptr<DirCursor> root, MergedDir::Open(parent_, kRootIno));
  while (true) {
    TRY_ASSIGN(bool more, root->Next());
    if (!more) return {};
    TRY(Remove(kRootIno, root->entry()));
  }
}

Result<> DeltaWriter::Remove(Ino dir, const DirEntry& entry) {
  if (entry.type != DT_DIR) return RemoveName(dir, entry);
  struct Frame {
    Ino ino;
    std::unique_ptr<DirCursor> cursor;
  };
  --names_;
  std::vector<Frame> stack;
  TRY_ASSIGN(std::unique_ptr<DirCursor> top, MergedDir::Open(parent_, entry.ino));
  stack.push_back({entry.ino, std::move(top)});
  while (!stack.empty()) {
    DirCursor& cursor = *stack.back().cursor;
    TRY_ASSIGN(bool more, cursor.Next());
    if (!more) {
      stack.pop_back();
    } else if (cursor.entry().type == DT_DIR) {
      --names_;
      TRY_ASSIGN(std::unique_ptr<DirCursor> child, cursor.Enter());
      stack.push_back({cursor.entry().ino, std::move(child)});
    } else {
      TRY(RemoveName(stack.back().ino, cursor.entry()));
    }
  }
  return {};
}

Result<> DeltaWriter::RemoveName(Ino dir, const DirEntry& entry) {
  --names_;
  auto followed = links_.find(entry.ino);
  if (followed == links_.end()) {
    TRY_ASSIGN(Inode inode, parent_.Get(entry.ino));
    if (inode.nlink < 2) return {};
    followed = links_.try_emplace(entry.ino).first;
  }
  followed->second.removed.push_back({.parent = dir, .name = std::string(entry.name)});
  return {};
}

Result<> DeltaWriter::WriteLinkChanges() {
  std::vector<Ino> inos;
  inos.reserve(links_.size());
  for (const auto& [ino, change] : links_) inos.push_back(ino);
  std::ranges::sort(inos);
  for (Ino ino : inos) {
    LinkChange& change = links_[ino];
    TRY_ASSIGN(std::vector<NameOf> before, parent_.Names(ino));
    std::ranges::sort(before, NameLess);
    std::ranges::sort(change.removed, NameLess);
    std::vector<NameOf> after;
    std::ranges::set_difference(before, change.removed, std::back_inserter(after), NameLess);
    after.insert(after.end(), change.added.begin(), change.added.end());
    std::ranges::sort(after, NameLess);
    if (std::ranges::equal(before, after, SameName)) continue;
    TRY_ASSIGN(FullInode inode, FullInodeOf(parent_, ino));
    for (const NameOf& name : after) {
      TRY_ASSIGN(inode.record.name, writer_.AddName(name.name));
      inode.record.parent = name.parent;
      inode.record.name_size = static_cast<uint32_t>(name.name.size());
      TRY(writer_.AddInode(inode.record, inode.target, inode.xattrs));
    }
  }
  return {};
}

Result<> DeltaWriter::AddEntry(const DirEntry& entry, uint64_t* name) {
  ++names_;
  *name = writer_.blob_size();
  return writer_.AddDirent(entry);
}

}  // namespace veneer::tree
