#include "store/tree/chain_builder.h"

#include <unistd.h>

#include <algorithm>

#include "store/base/beneath.h"
#include "store/tree/delta_writer.h"
#include "store/tree/layer_stack.h"
#include "store/tree/merged_dir.h"
#include "store/tree/spool.h"
#include "store/tree/tree_file.h"
#include "store/tree/walk.h"

namespace veneer::tree {

namespace {

// Walks a tree into a base file.
Result<> WriteBase(const FullInode& root, std::unique_ptr<DirCursor> dir, Ino ino_limit,
                   const ChainId& chain, int scratch_dirfd, int fd) {
  TreeWriter writer(scratch_dirfd);
  TRY(WriteTree(root, std::move(dir), writer));
  TreeHeader header;
  header.kind = TreeKind::kBase;
  header.chain = chain;
  header.ino_limit = ino_limit;
  header.name_count = writer.dirent_count();
  return writer.Finish(header, fd);
}

Result<> CopyFile(int from, int to, uint64_t size) {
  std::string buffer(std::min<uint64_t>(size, 1u << 20), '\0');
  for (uint64_t at = 0; at < size;) {
    TRY_ASSIGN(size_t n, PreadUpTo(from, buffer.data(), buffer.size(), at));
    if (n == 0) return Fail(EIO, "read temporary file");
    TRY(PwriteAll(to, {buffer.data(), n}, at));
    at += n;
  }
  if (::ftruncate(to, static_cast<off_t>(size)) < 0) return Errno("truncate tree file");
  return {};
}

}  // namespace

Result<> BuildBase(std::span<const LayerTree* const> layers, const ChainId& chain,
                   int scratch_dirfd, int fd) {
  LayerStack stack(layers);
  TRY_ASSIGN(FullInode root, stack.RootInode());
  TRY_ASSIGN(std::unique_ptr<DirCursor> dir, stack.OpenRoot());
  return WriteBase(root, std::move(dir), stack.ino_limit(), chain, scratch_dirfd, fd);
}

Result<> BuildNext(const MergedTree& parent, const ChainId& parent_chain, const LayerTree& layer,
                   const ChainId& chain, int scratch_dirfd, int fd) {
  if (parent.files().empty()) {
    const LayerTree* only = &layer;
    return BuildBase({&only, 1}, chain, scratch_dirfd, fd);
  }
  TRY_ASSIGN(UniqueFd scratch, UnnamedFile(scratch_dirfd));
  TRY(DeltaWriter(parent, layer, scratch_dirfd).Write(parent_chain, chain, scratch.get()));
  TRY_ASSIGN(std::shared_ptr<const TreeFile> delta, TreeFile::Open(scratch.get()));
  uint64_t deltas = delta->size();
  for (int i = 0; i < parent.delta_count(); ++i) deltas += parent.files()[i]->size();
  if (parent.delta_count() < kMaxDeltas && deltas < parent.files().back()->size() / 4) {
    return CopyFile(scratch.get(), fd, delta->size());
  }
  std::unique_ptr<MergedTree> merged = MergedTree::Apply(delta, parent);
  TRY_ASSIGN(FullInode root, FullInodeOf(*merged, kRootIno));
  TRY_ASSIGN(std::unique_ptr<DirCursor> dir, MergedDir::Open(*merged, kRootIno));
  return WriteBase(root, std::move(dir), merged->ino_limit(), chain, scratch_dirfd, fd);
}

}  // namespace veneer::tree
