#include "store/tree/layer_stack.h"

#include <dirent.h>

#include <algorithm>

#include "store/tree/path_walk.h"
#include "store/tree/tree_file.h"

namespace veneer::tree {

void NameMerger::Start() {
  result_.kind = MergedName::Kind::kNone;
  result_.parts.clear();
  result_.attributes.reset();
  hidden_ = false;
}

bool NameMerger::AddDirectory(LayerInode inode, uint32_t flags) {
  result_.kind = MergedName::Kind::kDir;
  if (!hidden_) result_.parts.push_back(inode);
  if (!(flags & kPlaceholder) && !result_.attributes) result_.attributes = inode;
  // An opaque marker hides names; it does not describe the directory, so that the search for its
  // attributes goes on.
  if (flags & kOpaque) hidden_ = true;
  return !hidden_ || !result_.attributes;
}

Result<bool> NameMerger::Add(size_t layer, const DirEntry& entry, Ino dir) {
  if (entry.ino == kNoIno) return false;
  if (entry.type != DT_DIR) {
    if (result_.kind == MergedName::Kind::kNone) {
      result_.kind = MergedName::Kind::kLeaf;
      result_.leaf = {layer, entry.ino};
    }
    return false;
  }
  const TreeFile& file = stack_.file(layer);
  TRY_ASSIGN(InodeRecord record, file.RecordAt(entry.ino - 1));
  TRY(CheckDirectory(file, record, dir, entry.name));
  return AddDirectory({layer, entry.ino}, record.flags);
}

namespace {

// The entries of a directory that several layers contribute to.
class StackDir : public DirCursor {
 public:
  static Result<std::unique_ptr<DirCursor>> Open(const LayerStack& stack,
                                                 const std::vector<LayerInode>& parts) {
    std::unique_ptr<StackDir> dir(new StackDir(stack));
    for (const LayerInode& part : parts) {
      const TreeFile& file = stack.file(part.layer);
      TRY_ASSIGN(InodeRecord record, file.RecordAt(part.ino - 1));
      if (!record.IsDir()) return Invalid("tree file is damaged: directory", EBADMSG);
      TRY(file.CheckRange(record));
      if (record.count() > 0) dir->sources_.push_back({Run(&file, record), part});
    }
    return dir;
  }

  Result<bool> Next() override {
    if (!started_) TRY(Start());
    while (!heap_.empty()) {
      std::string_view name = heap_.front()->run.entry().name;
      merger_.Start();
      bool more = true;
      while (!heap_.empty() && heap_.front()->run.entry().name == name) {
        std::ranges::pop_heap(heap_, Later);
        Source* source = heap_.back();
        heap_.pop_back();
        if (more) {
          TRY_ASSIGN(more, merger_.Add(source->part.layer, source->run.entry(), source->part.ino));
        }
        source->run.Advance();
        TRY(Push(*source));
      }
      switch (merger_.result().kind) {
        case MergedName::Kind::kNone:
          continue;
        case MergedName::Kind::kDir:
          entry_ = {.name = name, .ino = stack_.ChainIno(merger_.result()), .type = DT_DIR};
          return true;
        case MergedName::Kind::kLeaf:
          TRY(SetLeaf(name));
          return true;
      }
    }
    return false;
  }

  void Rewind() override { started_ = false; }

  Result<FullInode> Inode() override {
    if (merger_.result().kind == MergedName::Kind::kDir) return stack_.InodeOf(merger_.result());
    return stack_.InodeOf(leaf_);
  }

  Result<std::unique_ptr<DirCursor>> Enter() override {
    return Open(stack_, merger_.result().parts);
  }

 private:
  struct Source {
    Run run;
    LayerInode part;
  };

  explicit StackDir(const LayerStack& stack) : stack_(stack), merger_(stack) {}

  // Order of a heap whose front is the least name, the topmost layer's first.
  static bool Later(const Source* a, const Source* b) {
    int c = a->run.entry().name.compare(b->run.entry().name);
    return c != 0 ? c > 0 : a->part.layer < b->part.layer;
  }

  Result<> Push(Source& source) {
    TRY_ASSIGN(bool more, source.run.Load());
    if (!more) return {};
    heap_.push_back(&source);
    std::ranges::push_heap(heap_, Later);
    return {};
  }

  Result<> Start() {
    started_ = true;
    heap_.clear();
    for (Source& s : sources_) {
      s.run.Rewind();
      TRY(Push(s));
    }
    return {};
  }

  Result<> SetLeaf(std::string_view name) {
    leaf_ = merger_.result().leaf;
    TRY_ASSIGN(InodeRecord record, stack_.file(leaf_.layer).RecordAt(leaf_.ino - 1));
    if (record.flags & kExternalLink) {
      TRY_ASSIGN(leaf_, stack_.Resolve(leaf_));
      TRY_ASSIGN(record, stack_.file(leaf_.layer).RecordAt(leaf_.ino - 1));
    }
    if (record.IsDir()) return Invalid("tree file is damaged: entry", EBADMSG);
    entry_ = {.name = name, .ino = stack_.ChainIno(leaf_), .type = TypeOfMode(record.mode)};
    return {};
  }

  const LayerStack& stack_;
  NameMerger merger_;
  std::vector<Source> sources_;
  std::vector<Source*> heap_;
  bool started_ = false;
  LayerInode leaf_;
};

}  // namespace

LayerStack::LayerStack(std::span<const LayerTree* const> layers)
    : layers_(layers.begin(), layers.end()), offsets_{0} {
  for (const LayerTree* layer : layers_) {
    offsets_.push_back(offsets_.back() + layer->inode_count());
  }
}

Result<MergedName> LayerStack::Root(size_t limit) const {
  NameMerger merger(*this);
  merger.Start();
  for (size_t layer = limit; layer-- > 0;) {
    TRY_ASSIGN(InodeRecord record, file(layer).RecordAt(kRootIno - 1));
    if (!merger.AddDirectory({layer, kRootIno}, record.flags)) break;
  }
  return merger.result();
}

Result<std::unique_ptr<DirCursor>> LayerStack::OpenRoot() const {
  TRY_ASSIGN(MergedName root, Root(size()));
  return StackDir::Open(*this, root.parts);
}

Result<FullInode> LayerStack::RootInode() const {
  TRY_ASSIGN(MergedName root, Root(size()));
  TRY_ASSIGN(FullInode inode, InodeOf(root));
  inode.record.ino = kRootIno;
  return inode;
}

Result<FullInode> LayerStack::InodeOf(const MergedName& dir) const {
  FullInode inode{.record = InodeRecord::DefaultDir(kNoIno), .target = {}, .xattrs = {}};
  if (dir.attributes) {
    const TreeFile& from = file(dir.attributes->layer);
    TRY_ASSIGN(InodeRecord record, from.RecordAt(dir.attributes->ino - 1));
    TRY_ASSIGN(inode, Complete(from, record));
  }
  inode.record.flags = 0;
  inode.record.ino = ChainIno(dir);
  return inode;
}

Result<FullInode> LayerStack::InodeOf(const LayerInode& leaf) const {
  TRY_ASSIGN(InodeRecord record, file(leaf.layer).RecordAt(leaf.ino - 1));
  TRY_ASSIGN(FullInode inode, Complete(file(leaf.layer), record));
  inode.record.flags = 0;
  inode.record.ino = ChainIno(leaf);
  return inode;
}

Result<LayerInode> LayerStack::Resolve(LayerInode link) const {
  while (true) {
    TRY_ASSIGN(InodeRecord record, file(link.layer).RecordAt(link.ino - 1));
    if (!(record.flags & kExternalLink)) return link;
    TRY_ASSIGN(std::string_view path, file(link.layer).Target(record));
    TRY_ASSIGN(MergedName root, Root(link.layer));
    using Dir = std::vector<LayerInode>;
    auto look = [this](const Dir& parts, std::string_view name) -> Result<Step<Dir, LayerInode>> {
      NameMerger merger(*this);
      merger.Start();
      for (const LayerInode& part : parts) {
        TRY_ASSIGN(std::optional<DirEntry> entry, layers_[part.layer]->Lookup(part.ino, name));
        if (!entry) continue;
        TRY_ASSIGN(bool more, merger.Add(part.layer, *entry, part.ino));
        if (!more) break;
      }
      Step<Dir, LayerInode> step;
      if (merger.result().kind == MergedName::Kind::kDir) step.dir = merger.result().parts;
      if (merger.result().kind == MergedName::Kind::kLeaf) step.leaf = merger.result().leaf;
      return step;
    };
    auto read_link = [this](LayerInode leaf) -> Result<std::optional<std::string>> {
      TRY_ASSIGN(leaf, Resolve(leaf));
      TRY_ASSIGN(InodeRecord r, file(leaf.layer).RecordAt(leaf.ino - 1));
      if (!r.HasTarget()) return std::nullopt;
      TRY_ASSIGN(std::string_view target, file(leaf.layer).Target(r));
      return std::string(target);
    };
    TRY_ASSIGN(std::optional<LayerInode> found,
               (ResolveLeaf<Dir, LayerInode>(root.parts, path, look, read_link)));
    if (!found) {
      return Invalid("hard link to \"" + std::string(path) + "\", which no layer below has",
                     EBADMSG);
    }
    link = *found;
  }
}

}  // namespace veneer::tree
