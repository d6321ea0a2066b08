#include "store/tree/merged_tree.h"

#include <dirent.h>
#include <fcntl.h>

#include "store/base/beneath.h"
#include "store/tree/merged_dir.h"
#include "store/tree/tree_file.h"

namespace veneer::tree {

MergedTree::MergedTree() = default;
MergedTree::~MergedTree() = default;

Result<std::unique_ptr<MergedTree>> MergedTree::Open(int dirfd, const std::string& name) {
  std::unique_ptr<MergedTree> tree(new MergedTree);
  std::string next = name;
  while (true) {
    TRY_ASSIGN(UniqueFd fd, OpenAt(dirfd, next, O_RDONLY | O_NOFOLLOW));
    TRY_ASSIGN(std::shared_ptr<const TreeFile> file, TreeFile::Open(fd.get()));
    const TreeHeader& header = file->header();
    if (header.kind == TreeKind::kLayer) return Invalid("not a chain's tree", EBADMSG);
    if (!tree->files_.empty() && tree->files_.back()->header().parent != header.chain) {
      return Invalid("tree file " + next + " is another chain's", EBADMSG);
    }
    bool base = header.kind == TreeKind::kBase;
    ChainId parent = header.parent;
    tree->files_.push_back(std::move(file));
    tree->names_.push_back(next);
    if (base) return tree;
    if (tree->files_.size() > kMaxDeltas) return Invalid("tree has too many deltas", EBADMSG);
    next = parent.Hex();
  }
}

std::unique_ptr<MergedTree> MergedTree::Empty() {
  return std::unique_ptr<MergedTree>(new MergedTree);
}

std::unique_ptr<MergedTree> MergedTree::Apply(std::shared_ptr<const TreeFile> delta,
                                              const MergedTree& parent) {
  std::unique_ptr<MergedTree> tree(new MergedTree);
  tree->files_.push_back(std::move(delta));
  tree->files_.insert(tree->files_.end(), parent.files_.begin(), parent.files_.end());
  return tree;
}

Ino MergedTree::ino_limit() const {
  return files_.empty() ? kRootIno + 1 : files_.front()->header().ino_limit;
}

uint64_t MergedTree::name_count() const {
  return files_.empty() ? 0 : files_.front()->header().name_count;
}

int MergedTree::delta_count() const {
  return files_.empty() ? 0 : static_cast<int>(files_.size()) - 1;
}

std::vector<std::string> MergedTree::file_names() const { return names_; }

Result<bool> MergedTree::Find(Ino ino, Found* found) const {
  for (const auto& file : files_) {
    TRY_ASSIGN(bool here, file->Find(ino, &found->record));
    if (!here) continue;
    found->file = file.get();
    return true;
  }
  if (!files_.empty() || ino != kRootIno) return false;
  *found = {.record = InodeRecord::DefaultDir(kRootIno), .file = nullptr};
  found->record.parent = kRootIno;
  return true;
}

Result<Inode> MergedTree::Get(Ino ino) const {
  Found found;
  TRY_ASSIGN(bool known, Find(ino, &found));
  if (!known) return Fail(ENOENT, "tree inode");
  found.record.flags = 0;
  return ToInode(found.record);
}

Result<std::optional<DirEntry>> MergedTree::Lookup(Ino dir, std::string_view name) const {
  InodeRecord record;
  bool known = files_.empty() && dir == kRootIno;
  for (const auto& file : files_) {
    TRY_ASSIGN(bool here, file->Find(dir, &record));
    if (!here) continue;
    known = true;
    if (!record.IsDir()) return Fail(ENOTDIR, "tree directory");
    TRY_ASSIGN(std::optional<DirEntry> entry, file->FindName(record, name));
    if (entry) {
      if (entry->ino == kNoIno) return std::nullopt;
      return entry;
    }
    if (!(record.flags & kPartial)) break;
  }
  if (!known) return Fail(ENOENT, "tree inode");
  return std::nullopt;
}

Result<std::optional<Ino>> MergedTree::LookupPath(std::string_view path) const {
  Ino at = kRootIno;
  bool is_dir = true;
  while (true) {
    size_t start = path.find_first_not_of('/');
    if (start == std::string_view::npos) return at;
    path.remove_prefix(start);
    std::string_view name = path.substr(0, path.find('/'));
    path.remove_prefix(name.size());
    if (name == ".") continue;
    if (!is_dir) return std::nullopt;
    TRY_ASSIGN(std::optional<DirEntry> entry, Lookup(at, name));
    if (!entry) return std::nullopt;
    at = entry->ino;
    is_dir = entry->type == DT_DIR;
  }
}

Result<> MergedTree::ForEach(Ino dir, std::string_view after,
                             const std::function<bool(const DirEntry&)>& visit) const {
  MergedEntries entries;
  TRY(entries.Open(*this, dir, after));
  while (true) {
    TRY_ASSIGN(bool more, entries.Next());
    if (!more || !visit(entries.entry())) return {};
  }
}

Result<std::string> MergedTree::LinkTarget(Ino ino) const {
  Found found;
  TRY_ASSIGN(bool known, Find(ino, &found));
  if (!known) return Fail(ENOENT, "tree inode");
  if (!found.record.HasTarget()) return Fail(EINVAL, "not a symlink");
  TRY_ASSIGN(std::string_view target, found.file->Target(found.record));
  return std::string(target);
}

Result<std::vector<Xattr>> MergedTree::Xattrs(Ino ino) const {
  Found found;
  TRY_ASSIGN(bool known, Find(ino, &found));
  if (!known) return Fail(ENOENT, "tree inode");
  if (!found.file) return std::vector<Xattr>();
  return found.file->Xattrs(found.record);
}

Result<std::vector<NameOf>> MergedTree::Names(Ino ino) const {
  Found found;
  TRY_ASSIGN(bool known, Find(ino, &found));
  if (!known) return Fail(ENOENT, "tree inode");
  if (!found.file) return std::vector<NameOf>();
  return found.file->Names(found.record);
}

Result<> MergedTree::VerifyAll() const {
  for (const auto& file : files_) TRY(file->VerifyAll());
  return {};
}

}  // namespace veneer::tree
