// LayerStack: several layers, seen as the tree that their merge makes. The merge rules are here and
// nowhere else (docs/tree-format.md "Merging").
//
// Nothing is kept per name; a directory is merged each time it is walked.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "store/base/result.h"
#include "store/tree/layer_tree.h"
#include "store/tree/walk.h"

namespace veneer::tree {

// An inode of one of the layers.
struct LayerInode {
  size_t layer = 0;
  Ino ino = kNoIno;  // the layer's own number
};

// What the layers together make of one name or of the root.
struct MergedName {
  enum class Kind { kNone, kLeaf, kDir } kind = Kind::kNone;
  LayerInode leaf;                       // anything but a directory
  std::vector<LayerInode> parts;         // a directory's contributors, topmost first
  std::optional<LayerInode> attributes;  // whose attributes a directory has; none: the default
};

class LayerStack {
 public:
  // `layers`, lowest first, are borrowed.
  explicit LayerStack(std::span<const LayerTree* const> layers);

  size_t size() const { return layers_.size(); }
  const TreeFile& file(size_t layer) const { return layers_[layer]->file(); }
  Ino ino_limit() const { return offsets_.back() + 1; }
  // The chain's number of an inode.
  Ino ChainIno(const LayerInode& inode) const { return offsets_[inode.layer] + inode.ino; }
  // A directory's number: that of its lowest contributor; the root's is always kRootIno.
  Ino ChainIno(const MergedName& dir) const { return ChainIno(dir.parts.back()); }

  // The root of the layers below `limit` (a layer index).
  Result<MergedName> Root(size_t limit) const;
  // A cursor over the root of all layers, and its inode.
  Result<std::unique_ptr<DirCursor>> OpenRoot() const;
  Result<FullInode> RootInode() const;

  // Follows an external link to the inode in a layer below. EBADMSG, naming the path, where there
  // is none.
  Result<LayerInode> Resolve(LayerInode link) const;
  Result<FullInode> InodeOf(const MergedName& dir) const;
  Result<FullInode> InodeOf(const LayerInode& leaf) const;

 private:
  std::vector<const LayerTree*> layers_;
  std::vector<Ino> offsets_;  // one more than layers
};

// Takes the entries that layers have for one name, topmost layer first, and decides what the name
// is.
class NameMerger {
 public:
  explicit NameMerger(const LayerStack& stack) : stack_(stack) {}

  void Start();
  // False once the layers below can change nothing.
  Result<bool> Add(size_t layer, const DirEntry& entry, Ino dir);
  const MergedName& result() const { return result_; }

 private:
  friend class LayerStack;
  // A directory's record joins: what Add does once an entry is known to be one.
  bool AddDirectory(LayerInode inode, uint32_t flags);

  const LayerStack& stack_;
  MergedName result_;
  bool hidden_ = false;  // names of the layers below are hidden; only attributes are still wanted
};

}  // namespace veneer::tree
