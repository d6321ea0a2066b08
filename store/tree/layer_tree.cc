#include "store/tree/layer_tree.h"

#include "store/tree/tree_file.h"

namespace veneer::tree {

namespace {

Result<InodeRecord> RecordOf(const TreeFile& file, Ino ino) {
  if (ino == kNoIno || ino > file.inode_count()) return Fail(ENOENT, "layer tree inode");
  return file.RecordAt(ino - 1);
}

Result<InodeRecord> DirRecordOf(const TreeFile& file, Ino ino) {
  TRY_ASSIGN(InodeRecord record, RecordOf(file, ino));
  if (!record.IsDir()) return Fail(ENOTDIR, "layer tree directory");
  return record;
}

}  // namespace

LayerTree::LayerTree(std::unique_ptr<TreeFile> file) : file_(std::move(file)) {}
LayerTree::~LayerTree() = default;

Result<std::unique_ptr<LayerTree>> LayerTree::Open(int fd) {
  TRY_ASSIGN(std::unique_ptr<TreeFile> file, TreeFile::Open(fd));
  if (file->header().kind != TreeKind::kLayer) return Invalid("not a layer's tree", EBADMSG);
  uint64_t n = file->inode_count();
  if (n == 0 || file->header().first_ino != kRootIno || file->header().last_ino != n) {
    return Invalid("tree file is damaged: inode numbers", EBADMSG);
  }
  return std::unique_ptr<LayerTree>(new LayerTree(std::move(file)));
}

uint64_t LayerTree::inode_count() const { return file_->inode_count(); }
uint64_t LayerTree::name_count() const { return file_->dirent_count(); }

Result<Inode> LayerTree::Get(Ino ino) const {
  TRY_ASSIGN(InodeRecord record, RecordOf(*file_, ino));
  return ToInode(record);
}

Result<std::optional<DirEntry>> LayerTree::Lookup(Ino dir, std::string_view name) const {
  TRY_ASSIGN(InodeRecord record, DirRecordOf(*file_, dir));
  return file_->FindName(record, name);
}

Result<> LayerTree::ForEach(Ino dir, const std::function<bool(const DirEntry&)>& visit) const {
  TRY_ASSIGN(InodeRecord record, DirRecordOf(*file_, dir));
  TRY(file_->CheckRange(record));
  for (uint64_t i = 0; i < record.count(); ++i) {
    TRY_ASSIGN(DirEntry entry, file_->EntryAt(record.first() + i));
    if (!visit(entry)) break;
  }
  return {};
}

Result<std::string> LayerTree::LinkTarget(Ino ino) const {
  TRY_ASSIGN(InodeRecord record, RecordOf(*file_, ino));
  if (!record.HasTarget()) return Fail(EINVAL, "not a link");
  TRY_ASSIGN(std::string_view target, file_->Target(record));
  return std::string(target);
}

Result<std::vector<Xattr>> LayerTree::Xattrs(Ino ino) const {
  TRY_ASSIGN(InodeRecord record, RecordOf(*file_, ino));
  return file_->Xattrs(record);
}

Result<std::vector<NameOf>> LayerTree::Names(Ino ino) const {
  TRY_ASSIGN(InodeRecord record, RecordOf(*file_, ino));
  return file_->Names(record);
}

Result<> LayerTree::ForEachObject(
    const std::function<void(const ObjectId&, uint64_t size)>& visit) const {
  for (uint64_t i = 0; i < inode_count(); ++i) {
    TRY_ASSIGN(InodeRecord record, file_->RecordAt(i));
    if (!record.IsRegular() || record.size == 0) continue;
    visit(ObjectId(Digest::FromBytes(record.payload.data())), record.size);
  }
  return {};
}

Result<> LayerTree::VerifyAll() const { return file_->VerifyAll(); }

}  // namespace veneer::tree
