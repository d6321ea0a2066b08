#include "fs/name_index.h"

#include <dirent.h>

#include <algorithm>
#include <functional>
#include <new>

namespace veneer::fs {

size_t NameIndex::TablePlace(std::string_view name) const {
  size_t mask = table_.size() - 1;
  size_t place = std::hash<std::string_view>()(name) & mask;
  while (table_[place] != kNone && NameOf(slots_[table_[place]]) != name)
    place = (place + 1) & mask;
  return place;
}

std::optional<NameIndex::Place> NameIndex::Find(std::string_view name) const {
  if (table_.empty()) return std::nullopt;
  uint32_t number = table_[TablePlace(name)];
  if (number == kNone || slots_[number].state == State::kHidden) return std::nullopt;
  return PlaceOf(slots_[number]);
}

std::optional<NameIndex::Place> NameIndex::Below(const Place& place) const {
  if (place.below == kNone) return std::nullopt;
  const Link& link = links_[place.below];
  return Place{.part = link.part, .type = DT_DIR, .ino = 0, .below = link.below};
}

NameIndex::Slot* NameIndex::Builder::Find(std::string_view name) {
  if (index_->table_.empty()) return nullptr;
  uint32_t number = index_->table_[index_->TablePlace(name)];
  return number == kNone ? nullptr : &index_->slots_[number];
}

// REQUIRES: it is not there.
NameIndex::Slot& NameIndex::Builder::Insert(std::string_view name) {
  NameIndex& index = *index_;
  if (index.slots_.size() * 2 >= index.table_.size()) Grow();
  if (index.text_.size() + name.size() >= kNone) throw std::bad_alloc();
  uint32_t number = static_cast<uint32_t>(index.slots_.size());
  last_.push_back(kNone);
  index.slots_.push_back({.ino = 0,
                          .text = static_cast<uint32_t>(index.text_.size()),
                          .part = part_,
                          .below = kNone,
                          .length = static_cast<uint16_t>(name.size()),
                          .type = DT_UNKNOWN,
                          .state = State::kHidden});
  index.text_.append(name);
  index.table_[index.TablePlace(name)] = number;
  return index.slots_.back();
}

void NameIndex::Builder::Grow() {
  NameIndex& index = *index_;
  index.table_.assign(std::max<size_t>(16, index.table_.size() * 2), kNone);
  for (size_t i = 0; i < index.slots_.size(); ++i) {
    index.table_[index.TablePlace(index.NameOf(index.slots_[i]))] = static_cast<uint32_t>(i);
  }
}

void NameIndex::Builder::NextPart() {
  for (const std::string& name : hidden_) {
    if (Slot* slot = Find(name)) {
      if (slot->state == State::kMerging) slot->state = State::kClosed;
    } else {
      Insert(name);
    }
  }
  hidden_.clear();
  ++part_;
}

void NameIndex::Builder::Add(std::string_view name, uint64_t ino, uint8_t type) {
  if (Slot* slot = Find(name)) {
    if (slot->state != State::kMerging) return;
    if (type == DT_DIR) {
      MergeWith(*slot);
    } else {
      slot->state = State::kClosed;
    }
    return;
  }
  Slot& slot = Insert(name);
  slot.ino = ino;
  slot.type = type;
  slot.state = type == DT_DIR ? State::kMerging : State::kClosed;
}

void NameIndex::Builder::MergeWith(Slot& slot) {
  NameIndex& index = *index_;
  uint32_t& last = last_[static_cast<size_t>(&slot - index.slots_.data())];
  uint32_t& end = last == kNone ? slot.below : index.links_[last].below;
  if ((last == kNone ? slot.part : index.links_[last].part) == part_) return;  // listed twice
  uint32_t made = static_cast<uint32_t>(index.links_.size());
  end = last = made;
  index.links_.push_back({.part = part_, .below = kNone});
}

void NameIndex::Builder::AddWhiteout(std::string_view name) {
  if (Slot* slot = Find(name)) {
    if (slot->state == State::kMerging) slot->state = State::kClosed;
  } else {
    Insert(name);
  }
}

std::shared_ptr<const NameIndex> NameIndex::Builder::Build() {
  index_->text_.shrink_to_fit();
  index_->slots_.shrink_to_fit();
  index_->links_.shrink_to_fit();
  return std::move(index_);
}

std::shared_ptr<const NameIndex> NameIndexCache::Get(uint64_t key) {
  Shard& shard = ShardOf(key);
  MutexLock lock(shard.mu);
  auto it = shard.slots.find(key);
  if (it == shard.slots.end()) return nullptr;
  it->second.used = true;
  return it->second.index;
}

bool NameIndexCache::Put(uint64_t key, std::shared_ptr<const NameIndex> index) {
  size_t added = index->size();
  if (added > capacity_ / 4) return false;
  {
    Shard& shard = ShardOf(key);
    MutexLock lock(shard.mu);
    auto [it, fresh] = shard.slots.try_emplace(key);
    if (!fresh) return true;  // another thread was first, and read the same
    it->second.index = std::move(index);
    size_.fetch_add(added, std::memory_order_relaxed);
  }
  // Twice around, all that is not asked for meanwhile goes.
  for (size_t turns = 2 * kShards; size() > capacity_ && turns > 0; --turns) {
    Evict(shards_[hand_.fetch_add(1, std::memory_order_relaxed) % kShards]);
  }
  return true;
}

void NameIndexCache::Evict(Shard& shard) {
  std::vector<std::shared_ptr<const NameIndex>> evicted;  // freed after the lock
  MutexLock lock(shard.mu);
  for (auto it = shard.slots.begin(); it != shard.slots.end();) {
    if (it->second.used || size() <= capacity_) {
      it->second.used = false;
      ++it;
      continue;
    }
    evicted.push_back(it->second.index);
    size_.fetch_sub(evicted.back()->size(), std::memory_order_relaxed);
    it = shard.slots.erase(it);
  }
}

void NameIndexCache::Erase(uint64_t key) {
  std::shared_ptr<const NameIndex> erased;
  Shard& shard = ShardOf(key);
  MutexLock lock(shard.mu);
  auto it = shard.slots.find(key);
  if (it == shard.slots.end()) return;
  erased = std::move(it->second.index);
  size_.fetch_sub(erased->size(), std::memory_order_relaxed);
  shard.slots.erase(it);
}

}  // namespace veneer::fs
