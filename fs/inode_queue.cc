#include "fs/inode_queue.h"

#include <signal.h>

#include <new>
#include <system_error>
#include <utility>

#include "fs/caller_scope.h"
#include "fs/log.h"

namespace veneer::fs {

InodeQueue::InodeQueue(Handle handle, std::chrono::milliseconds delay, size_t enough)
    : handle_(std::move(handle)), delay_(delay), enough_(enough) {}

InodeQueue::~InodeQueue() {
  {
    std::lock_guard lock(mu_);
    ending_ = true;
    changed_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
}

bool InodeQueue::StartLocked() {
  if (thread_.joinable()) return true;
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);  // signals are for the server's threads
  bool started = true;
  try {
    thread_ = std::thread([this] { Main(); });
  } catch (const std::system_error&) {
    started = false;
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return started;
}

void InodeQueue::Add(InodePtr inode) {
  {
    std::lock_guard lock(mu_);
    inodes_.push_back(std::move(inode));
    if (StartLocked()) {
      if (inodes_.size() == 1 || inodes_.size() >= enough_) changed_.notify_all();
      return;
    }
  }
  Flush();
}

void InodeQueue::Flush() {
  std::lock_guard handling(handling_mu_);
  std::vector<InodePtr> batch;
  {
    std::lock_guard lock(mu_);
    batch.swap(inodes_);
  }
  if (batch.empty()) return;
  try {
    handle_(batch);
  } catch (const std::bad_alloc&) {
    Log(LogLevel::kError, "out of memory; {} files are left for later", batch.size());
    std::lock_guard lock(mu_);
    if (inodes_.empty()) inodes_.swap(batch);
  }
}

void InodeQueue::Remove(const InodePtr& inode) {
  std::lock_guard lock(mu_);
  std::erase(inodes_, inode);
}

void InodeQueue::Main() {
  CallerScope::OwnUmask();
  std::unique_lock lock(mu_);
  for (;;) {
    changed_.wait(lock, [this] { return ending_ || !inodes_.empty(); });
    if (ending_) return;
    changed_.wait_for(lock, delay_, [this] { return ending_ || inodes_.size() >= enough_; });
    if (ending_) return;
    lock.unlock();
    Flush();
    lock.lock();
  }
}

}  // namespace veneer::fs
