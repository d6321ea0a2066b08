// MemoryReturn: gives memory back to the system when many inodes were forgotten.
//
// What is freed stays with the process: malloc returns by itself only what lies behind the last
// piece in use. Giving all back locks its arenas, for tens of milliseconds where there are hundreds
// of MiB, so a thread of its own does it: when forgetting has come to rest, or half of the inodes
// are gone, and only if the inodes have become fewer by kWorthwhile since the last time. Where a
// walk makes as many as are forgotten meanwhile, it needs their memory itself.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <thread>

#include "store/base/mutex.h"

namespace veneer::fs {

class MemoryReturn {
 public:
  static constexpr uint64_t kWorthwhile = 8192;  // inodes: some 3 MiB

  // Starts a thread, which calls `give_back`.
  explicit MemoryReturn(std::function<void()> give_back = TrimHeap);
  ~MemoryReturn();
  MemoryReturn(const MemoryReturn&) = delete;
  MemoryReturn& operator=(const MemoryReturn&) = delete;

  // An inode was forgotten, and so many are left. Thread-safe, and cheap.
  void Left(uint64_t inodes) {
    left_.store(inodes, std::memory_order_relaxed);
    uint64_t most = most_.load(std::memory_order_relaxed);
    if (inodes >= most) {
      most_.store(inodes, std::memory_order_relaxed);
    } else if (most - inodes >= kWorthwhile && !wanted_.load(std::memory_order_relaxed)) {
      Want();
    }
  }

  static void TrimHeap();

 private:
  void Want();
  void Watch();
  void AwaitRest() REQUIRES_LOCK(mu_);

  const std::function<void()> give_back_;
  std::atomic<uint64_t> left_{0};
  // As many inodes as there were since memory was last given back: inodes only become fewer by
  // being forgotten, so those who forget see the most there were.
  std::atomic<uint64_t> most_{0};
  Mutex mu_;
  CondVar changed_;
  std::atomic<bool> wanted_{false};  // changed with mu_
  bool ending_ GUARDED_BY(mu_) = false;
  std::thread watcher_;
};

}  // namespace veneer::fs
