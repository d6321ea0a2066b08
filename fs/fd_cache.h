// FdCache: a bounded cache of O_PATH descriptors of directories, so that no inode has to hold one.
//
// Keys are numbers that are never reused (NewKey()). Thread-safe; sharded, and no lock is held
// while a directory is opened. A descriptor stays open while somebody holds it, evicted or not.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <unordered_map>

#include "store/base/mutex.h"
#include "store/base/unique_fd.h"

namespace veneer::fs {

using SharedFd = std::shared_ptr<const UniqueFd>;

class FdCache {
 public:
  // Keeps at most about `capacity` descriptors. DefaultCapacity() leaves most of RLIMIT_NOFILE to
  // open files.
  explicit FdCache(size_t capacity) : per_shard_(capacity / kShards + 1) {}
  static size_t DefaultCapacity();

  uint64_t NewKey() { return next_key_.fetch_add(1, std::memory_order_relaxed); }
  SharedFd Get(uint64_t key);
  SharedFd Put(uint64_t key, UniqueFd fd);
  void Erase(uint64_t key);
  void Clear();  // for when the process has run out of descriptors

 private:
  static constexpr size_t kShards = 16;
  struct Slot {
    SharedFd fd;
    bool used = false;  // since the clock hand last passed
  };
  struct Shard {
    Mutex mu;
    std::unordered_map<uint64_t, Slot> slots GUARDED_BY(mu);
  };
  Shard& ShardOf(uint64_t key) { return shards_[key % kShards]; }

  const size_t per_shard_;
  std::atomic<uint64_t> next_key_{1};
  std::array<Shard, kShards> shards_;
};

}  // namespace veneer::fs
