// Handles: the open files of a mount, by number. Thread-safe.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <unordered_map>

#include "fs/inode.h"
#include "fs/types.h"
#include "store/base/mutex.h"
#include "store/base/result.h"

namespace veneer::fs {

struct Handle {
  InodePtr inode;
  int flags = 0;         // of open(2)
  bool program = false;  // an ELF file of the lower, where share_programs wants to know
};
using HandlePtr = std::shared_ptr<Handle>;

class HandleTable {
 public:
  HandleId Add(HandlePtr handle) {
    uint64_t id = next_.fetch_add(1, std::memory_order_relaxed);
    Shard& shard = shards_[id % kShards];
    MutexLock lock(shard.mu);
    shard.handles.emplace(id, std::move(handle));
    size_.fetch_add(1, std::memory_order_relaxed);
    return HandleId(id);
  }
  // EBADF where there is none.
  Result<HandlePtr> Find(HandleId id) {
    Shard& shard = shards_[static_cast<uint64_t>(id) % kShards];
    MutexLock lock(shard.mu);
    auto it = shard.handles.find(static_cast<uint64_t>(id));
    if (it == shard.handles.end()) return Fail(EBADF, "handle");
    return it->second;
  }
  // Takes it out of the table; nullptr where there is none.
  HandlePtr Remove(HandleId id) {
    Shard& shard = shards_[static_cast<uint64_t>(id) % kShards];
    MutexLock lock(shard.mu);
    auto it = shard.handles.find(static_cast<uint64_t>(id));
    if (it == shard.handles.end()) return nullptr;
    HandlePtr handle = std::move(it->second);
    shard.handles.erase(it);
    size_.fetch_sub(1, std::memory_order_relaxed);
    return handle;
  }
  uint64_t size() const { return size_.load(std::memory_order_relaxed); }

 private:
  static constexpr size_t kShards = 16;
  struct Shard {
    Mutex mu;
    std::unordered_map<uint64_t, HandlePtr> handles GUARDED_BY(mu);
  };
  std::atomic<uint64_t> next_{1};
  std::atomic<uint64_t> size_{0};
  std::array<Shard, kShards> shards_;
};

}  // namespace veneer::fs
