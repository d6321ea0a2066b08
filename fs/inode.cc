#include "fs/inode.h"

#include <algorithm>

namespace veneer::fs {

Inode::Inode(InodeTable& table, NodeId node, uint64_t number, mode_t file_type, LowerRef ref)
    : id(node),
      ino(number),
      type(file_type & S_IFMT),
      lower(std::move(ref)),
      dir(S_ISDIR(file_type) ? std::make_unique<DirState>(table.cache()->NewKey()) : nullptr),
      table_(table) {
  table_.size_.fetch_add(1, std::memory_order_relaxed);
}

namespace {

// Letting go of a leaf lets go of its parent, and so on: a loop instead of recursion, for trees of
// any depth.
void ReleaseParents(std::vector<Name>&& names) {
  thread_local std::vector<InodePtr>* pending = nullptr;
  std::vector<InodePtr> parents;
  bool outermost = pending == nullptr;
  if (outermost) pending = &parents;
  for (Name& name : names) pending->push_back(std::move(name.parent));
  names.clear();
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
  table_.Gone(*this);
  if (dir) table_.cache()->Erase(dir->key);
  std::vector<Name> last;
  {
    MutexLock lock(mu);
    last.swap(names);
  }
  ReleaseParents(std::move(last));
}

void Inode::AddName(const InodePtr& parent, const std::string& name) {
  MutexLock lock(mu);
  for (const Name& n : names) {
    if (n.parent == parent && n.name == name) return;
  }
  names.push_back({parent, name});
}

void Inode::RemoveName(const Inode* parent, const std::string& name) {
  std::vector<Name> removed;
  MutexLock lock(mu);
  auto it = std::find_if(names.begin(), names.end(),
                         [&](const Name& n) { return n.parent.get() == parent && n.name == name; });
  if (it == names.end()) return;
  removed.push_back(std::move(*it));
  names.erase(it);
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
  auto it = shard.by_ino.find(ino);
  return it == shard.by_ino.end() ? nullptr : it->second.lock();
}

Result<InodePtr> InodeTable::Find(NodeId id) {
  Shard& shard = ById(id);
  MutexLock lock(shard.mu);
  auto it = shard.by_id.find(static_cast<uint64_t>(id));
  if (it == shard.by_id.end()) return Fail(ESTALE, "node");
  return it->second;
}

void InodeTable::Hold(const InodePtr& inode) {
  Shard& shard = ById(inode->id);
  MutexLock lock(shard.mu);
  if (inode->nlookup_++ == 0) shard.by_id.emplace(static_cast<uint64_t>(inode->id), inode);
}

bool InodeTable::Forget(NodeId id, uint64_t count) {
  InodePtr last;  // destroyed after the lock: its parents may be in this shard
  Shard& shard = ById(id);
  MutexLock lock(shard.mu);
  auto it = shard.by_id.find(static_cast<uint64_t>(id));
  if (it == shard.by_id.end()) return false;
  uint64_t held = it->second->nlookup_;
  it->second->nlookup_ = held - std::min(held, count);
  if (held > count) return false;
  last = std::move(it->second);
  shard.by_id.erase(it);
  return true;
}

void InodeTable::Retire(const Inode& inode) {
  std::weak_ptr<const Inode> self = inode.weak_from_this();
  Shard& shard = ByIno(inode.ino);
  MutexLock lock(shard.mu);
  auto it = shard.by_ino.find(inode.ino);
  if (it == shard.by_ino.end()) return;
  // Only its own entry: the number may be another file's already. (A locked pointer would be
  // destroyed under the lock.)
  if (!it->second.owner_before(self) && !self.owner_before(it->second)) {
    shard.by_ino.erase(it);
  }
}

void InodeTable::Gone(const Inode& inode) {
  Shard& shard = ByIno(inode.ino);
  MutexLock lock(shard.mu);
  auto it = shard.by_ino.find(inode.ino);
  if (it != shard.by_ino.end() && it->second.expired()) shard.by_ino.erase(it);
}

void InodeTable::Clear() {
  for (Shard& shard : shards_) {
    std::unordered_map<uint64_t, InodePtr> nodes;
    MutexLock lock(shard.mu);
    nodes.swap(shard.by_id);
  }
}

}  // namespace veneer::fs
