#include "fs/listing.h"

#include <unistd.h>

#include <algorithm>
#include <functional>
#include <utility>

namespace veneer::fs {

uint64_t position::PlaceInUpper(std::string_view name, uint64_t seed) {
  uint64_t hash = std::hash<std::string_view>()(name) ^ seed;
  hash *= 0x9e3779b97f4a7c15;  // spreads what the seed changed
  return kFirstOfUpper | (hash >> (64 - kPlaceBits + 1));
}

std::vector<Listing::Item>::const_iterator Listing::Behind(uint64_t offset) const {
  uint64_t place = offset & ((uint64_t{1} << position::kPlaceBits) - 1);
  return std::upper_bound(items.begin(), items.end(), place,
                          [](uint64_t at, const Item& item) { return at < item.place; });
}

bool Listing::EndsWithAPage() const {
  constexpr size_t kHeader = 24;  // struct fuse_dirent, before the name
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  size_t used = 0;  // of the last page
  for (const Item& item : items) {
    size_t size = (kHeader + item.entry.name.size() + 7) / 8 * 8;
    used = used + size > page ? size : used + size;
  }
  return used == page;
}

ListingCache::Slot* ListingCache::Find(NodeId dir) {
  for (Slot& slot : slots_) {
    if (slot.listing && slot.dir == dir) return &slot;
  }
  return nullptr;
}

ListingPtr ListingCache::Get(NodeId dir) {
  MutexLock lock(mu_);
  Slot* slot = Find(dir);
  if (slot == nullptr) return nullptr;
  slot->used = ++clock_;
  return slot->listing;
}

void ListingCache::Put(NodeId dir, ListingPtr listing) {
  ListingPtr former;  // freed after the lock
  MutexLock lock(mu_);
  Slot* slot = Find(dir);
  if (slot == nullptr) {
    slot = std::min_element(slots_.begin(), slots_.end(),
                            [](const Slot& a, const Slot& b) { return a.used < b.used; });
  }
  slot->dir = dir;
  slot->used = ++clock_;
  former = std::exchange(slot->listing, std::move(listing));
}

void ListingCache::Drop(NodeId dir) {
  ListingPtr former;
  MutexLock lock(mu_);
  Slot* slot = Find(dir);
  if (slot == nullptr) return;
  slot->used = 0;
  former = std::exchange(slot->listing, nullptr);
}

}  // namespace veneer::fs
