#include "store/tree/name_table.h"

#include <algorithm>
#include <cstring>

namespace veneer::tree {

namespace {

uint64_t Hash(NodeId parent, std::string_view name) {
  uint64_t h = parent * 0x9e3779b97f4a7c15u + name.size();
  while (!name.empty()) {
    uint64_t word = 0;
    size_t n = std::min(name.size(), sizeof word);
    std::memcpy(&word, name.data(), n);
    name.remove_prefix(n);
    h = (h ^ word) * 0xff51afd7ed558ccdu;
    h ^= h >> 32;
  }
  return h;
}

}  // namespace

NameTable::NameTable() : slots_(1024, kNoNode) {
  Append(kNoNode, 0, 0);
  nodes_[kRootNode].kind = Kind::kDir;
}

std::string_view NameTable::name(NodeId id) const {
  const Node& n = nodes_[id];
  if (n.name_size == 0) return {};
  return {arena_[n.name / kArenaChunk].get() + n.name % kArenaChunk, n.name_size};
}

bool NameTable::full() const {
  return arena_.size() == UINT32_MAX / kArenaChunk || nodes_.size() >= kNoNode - 1;
}

size_t NameTable::SlotOf(NodeId parent, std::string_view name) const {
  size_t mask = slots_.size() - 1;
  size_t i = Hash(parent, name) & mask;
  while (slots_[i] != kNoNode) {
    NodeId id = slots_[i];
    if (nodes_[id].parent == parent && this->name(id) == name) break;
    i = (i + 1) & mask;
  }
  return i;
}

NodeId NameTable::Find(NodeId parent, std::string_view name) const {
  return slots_[SlotOf(parent, name)];
}

NodeId NameTable::Append(NodeId parent, uint32_t name, uint8_t name_size) {
  nodes_.push_back({.parent = parent,
                    .name = name,
                    .inode = UINT32_MAX,
                    .name_size = name_size,
                    .kind = Kind::kNone,
                    .flags = 0});
  return static_cast<NodeId>(nodes_.size() - 1);
}

NodeId NameTable::Insert(NodeId parent, std::string_view name) {
  if (arena_used_ + name.size() > kArenaChunk) {
    arena_.push_back(std::make_unique_for_overwrite<char[]>(kArenaChunk));
    arena_used_ = 0;
  }
  std::memcpy(arena_.back().get() + arena_used_, name.data(), name.size());
  size_t at = (arena_.size() - 1) * kArenaChunk + arena_used_;
  arena_used_ += name.size();
  if ((used_ + 1) * 4 > slots_.size() * 3) Grow();
  size_t slot = SlotOf(parent, name);
  NodeId id = Append(parent, static_cast<uint32_t>(at), static_cast<uint8_t>(name.size()));
  slots_[slot] = id;
  ++used_;
  return id;
}

NodeId NameTable::Replace(NodeId id) {
  Node old = nodes_[id];
  size_t slot = SlotOf(old.parent, name(id));
  NodeId fresh = Append(old.parent, old.name, old.name_size);
  nodes_[fresh].flags = old.flags & kWhiteout;
  nodes_[id].flags |= kDead;
  slots_[slot] = fresh;
  return fresh;
}

void NameTable::Grow() {
  std::vector<NodeId> old(slots_.size() * 2, kNoNode);
  old.swap(slots_);
  size_t mask = slots_.size() - 1;
  for (NodeId id : old) {
    if (id == kNoNode) continue;
    size_t i = Hash(nodes_[id].parent, name(id)) & mask;
    while (slots_[i] != kNoNode) i = (i + 1) & mask;
    slots_[i] = id;
  }
}

std::string NameTable::PathOf(NodeId id) const {
  std::vector<std::string_view> parts;
  for (; id != kRootNode; id = parent(id)) parts.push_back(name(id));
  std::string path;
  for (auto it = parts.rbegin(); it != parts.rend(); ++it) {
    if (!path.empty()) path += '/';
    path += *it;
  }
  return path;
}

}  // namespace veneer::tree
