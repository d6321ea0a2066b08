// InodeQueue: inodes that something is to be done with later, and the thread that does it. An inode
// is kept alive until then. Thread-safe.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "fs/inode.h"

namespace veneer::fs {

class InodeQueue {
 public:
  // Called with what there is, never empty, by one thread at a time.
  using Handle = std::function<void(const std::vector<InodePtr>& batch)>;
  // The thread waits for `delay` after the first one, or until there are `enough`.
  InodeQueue(Handle handle, std::chrono::milliseconds delay, size_t enough);
  // What is in the queue then is dropped.
  ~InodeQueue();
  InodeQueue(const InodeQueue&) = delete;
  InodeQueue& operator=(const InodeQueue&) = delete;

  // Where no thread can be started, it is handled before this returns.
  void Add(InodePtr inode);
  // Nothing is to be done with it any more.
  void Remove(const InodePtr& inode);
  // Returns when everything that was added before is handled.
  void Flush();

 private:
  void Main();
  bool StartLocked();

  const Handle handle_;
  const std::chrono::milliseconds delay_;
  const size_t enough_;
  std::mutex handling_mu_;  // held while a batch is handled; taken before mu_
  std::mutex mu_;
  std::condition_variable changed_;
  std::vector<InodePtr> inodes_;  // these are guarded by mu_
  bool ending_ = false;
  std::thread thread_;
};

}  // namespace veneer::fs
