#include "fs/inode.h"

#include <algorithm>
#include <vector>

namespace veneer::fs {

// After a walk there is one for every file: docs/filesystem.md "Memory". (Mutexes are larger on
// other machines.)
static_assert(sizeof(Inode) <= 288);

const Inode::Rare Inode::kNothingRare = {};

Inode::Inode(InodeTable& table, NodeId node, uint64_t number, mode_t file_type, LowerRef ref)
    : id(node),
      ino(number),
      lower(std::move(ref)),
      dir(S_ISDIR(file_type) ? std::make_unique<DirState>(table.cache()->NewKey()) : nullptr),
      type(file_type & S_IFMT),
      table_(table) {
  table_.size_.fetch_add(1, std::memory_order_relaxed);
}

namespace {

// Letting go of a leaf lets go of its parent, and so on: a loop instead of recursion, for trees of
// any depth.
void ReleaseParents(NameList names) {
  thread_local std::vector<InodePtr>* pending = nullptr;
  std::vector<InodePtr> parents;
  bool outermost = pending == nullptr;
  if (outermost) pending = &parents;
  while (!names.empty()) pending->push_back(names.Take(names.end() - 1).parent);
  if (!outermost) return;
  while (!parents.empty()) {
    InodePtr next = std::move(parents.back());
    parents.pop_back();
    next.reset();
  }
  pending = nullptr;
}

}  // namespace

Inode::~Inode() {
  table_.size_.fetch_sub(1, std::memory_order_relaxed);
  if (listed_) table_.Retire(*this);
  if (dir) table_.cache()->Erase(dir->key);
  NameList last;
  {
    MutexLock lock(mu);
    std::swap(last, names);
  }
  ReleaseParents(std::move(last));
}

Inode::Rare& Inode::MakeRare() {
  if (!rare_) rare_ = std::make_unique<Rare>();
  return *rare_;
}

void Inode::TidyRare() {
  if (rare_ && !rare_->partial.copy && !rare_->orphan && !rare_->shown &&
      !rare_->shown_capability) {
    rare_.reset();
  }
}

void Inode::AddName(const InodePtr& parent, const std::string& name) {
  MutexLock lock(mu);
  for (const Name& n : names) {
    if (n.parent == parent && n.name == name) return;
  }
  names.push_back({parent, name});
}

void Inode::RemoveName(const Inode* parent, const std::string& name) {
  Name removed;  // its parent may be destroyed, after the lock
  MutexLock lock(mu);
  auto* it = std::find_if(names.begin(), names.end(), [&](const Name& n) {
    return n.parent.get() == parent && n.name == name;
  });
  if (it != names.end()) removed = names.Take(it);
}

void Inode::MoveName(const Inode* parent, const std::string& name, const InodePtr& new_parent,
                     const std::string& new_name) {
  Name moved{new_parent, new_name};
  MutexLock lock(mu);
  for (Name& n : names) {
    if (n.parent.get() != parent || n.name != name) continue;
    std::swap(n, moved);
    return;
  }
  names.push_back(std::move(moved));
}

InodePtr InodeTable::FindByIno(uint64_t ino) {
  Shard& shard = ByIno(ino);
  MutexLock lock(shard.mu);
  Inode* known = shard.by_ino.Find(ino);
  return known != nullptr ? known->weak_from_this().lock() : nullptr;
}

Result<InodePtr> InodeTable::Find(NodeId id) {
  Shard& shard = ById(id);
  MutexLock lock(shard.mu);
  const Inode* known = shard.by_id.Find(static_cast<uint64_t>(id));
  if (known == nullptr) return Fail(ESTALE, "node");
  return known->held_;
}

void InodeTable::Hold(const InodePtr& inode) {
  Shard& shard = ById(inode->id);
  MutexLock lock(shard.mu);
  if (inode->nlookup_ == 0) {
    shard.by_id.Add(inode.get());
    inode->held_ = inode;
  }
  ++inode->nlookup_;
}

bool InodeTable::Forget(NodeId id, uint64_t count) {
  InodePtr last;  // destroyed after the lock: its parents may be in this shard
  Shard& shard = ById(id);
  MutexLock lock(shard.mu);
  Inode* known = shard.by_id.Find(static_cast<uint64_t>(id));
  if (known == nullptr) return false;
  known->nlookup_ -= std::min(known->nlookup_, count);
  if (known->nlookup_ > 0) return false;
  shard.by_id.Remove(known);
  last = std::move(known->held_);
  return true;
}

void InodeTable::Retire(const Inode& inode) {
  Shard& shard = ByIno(inode.ino);
  MutexLock lock(shard.mu);
  shard.by_ino.Remove(&inode);  // it alone: the number may be another file's already
}

void InodeTable::Clear() {
  for (Shard& shard : shards_) {
    Inode* nodes;
    {
      MutexLock lock(shard.mu);
      nodes = shard.by_id.TakeAll();
    }
    while (nodes != nullptr) {
      InodePtr node = std::move(nodes->held_);
      nodes = nodes->next_by_id_;
    }
  }
}

}  // namespace veneer::fs
