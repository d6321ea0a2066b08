#include "fs/fd_cache.h"

#include <sys/resource.h>

#include <algorithm>
#include <vector>

namespace veneer::fs {

size_t FdCache::DefaultCapacity() {
  struct rlimit limit = {};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 128;
  return std::clamp<size_t>(limit.rlim_cur / 8, 64, 4096);
}

SharedFd FdCache::Get(uint64_t key) {
  Shard& shard = ShardOf(key);
  MutexLock lock(shard.mu);
  auto it = shard.slots.find(key);
  if (it == shard.slots.end()) return nullptr;
  it->second.used = true;
  return it->second.fd;
}

SharedFd FdCache::Put(uint64_t key, UniqueFd fd) {
  auto shared = std::make_shared<const UniqueFd>(std::move(fd));
  std::vector<SharedFd> evicted;  // closed after the lock
  Shard& shard = ShardOf(key);
  MutexLock lock(shard.mu);
  while (shard.slots.size() >= per_shard_) {
    for (auto it = shard.slots.begin(); it != shard.slots.end();) {
      if (it->second.used && evicted.empty()) {
        it->second.used = false;
        ++it;
      } else {
        evicted.push_back(std::move(it->second.fd));
        it = shard.slots.erase(it);
        if (evicted.size() > per_shard_ / 4) break;
      }
    }
  }
  shard.slots.insert_or_assign(key, Slot{shared, true});
  return shared;
}

void FdCache::Erase(uint64_t key) {
  SharedFd closed;
  Shard& shard = ShardOf(key);
  MutexLock lock(shard.mu);
  auto it = shard.slots.find(key);
  if (it == shard.slots.end()) return;
  closed = std::move(it->second.fd);
  shard.slots.erase(it);
}

void FdCache::Clear() {
  for (Shard& shard : shards_) {
    std::unordered_map<uint64_t, Slot> slots;
    MutexLock lock(shard.mu);
    slots.swap(shard.slots);
  }
}

}  // namespace veneer::fs
