#include "fs/memory_return.h"

#include <malloc.h>
#include <signal.h>

#include <chrono>
#include <system_error>
#include <utility>

namespace veneer::fs {

namespace {

constexpr std::chrono::milliseconds kLook{100};

}  // namespace

void MemoryReturn::TrimHeap() { malloc_trim(0); }

MemoryReturn::MemoryReturn(std::function<void()> give_back) : give_back_(std::move(give_back)) {
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);  // signals are for the server's threads
  try {
    watcher_ = std::thread([this] { Watch(); });
  } catch (const std::system_error&) {  // no more threads: then without
    wanted_ = true;
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

MemoryReturn::~MemoryReturn() {
  {
    MutexLock lock(mu_);
    ending_ = true;
    changed_.NotifyAll();
  }
  if (watcher_.joinable()) watcher_.join();
}

void MemoryReturn::Want() {
  MutexLock lock(mu_);
  if (wanted_) return;
  wanted_ = true;
  changed_.NotifyAll();
}

// Until nothing was forgotten in the time between two looks, or half of the inodes are gone.
void MemoryReturn::AwaitRest() {
  uint64_t before = left_;
  while (!ending_) {
    changed_.WaitFor(mu_, kLook);
    uint64_t left = left_;
    if (left >= before || left <= most_ / 2) return;
    before = left;
  }
}

void MemoryReturn::Watch() {
  MutexLock lock(mu_);
  for (;;) {
    while (!wanted_ && !ending_) changed_.Wait(mu_);
    AwaitRest();
    if (ending_) return;
    most_ = left_.load();
    wanted_ = false;
    mu_.Unlock();  // who forgets must not wait for the system
    give_back_();
    mu_.Lock();
  }
}

}  // namespace veneer::fs
