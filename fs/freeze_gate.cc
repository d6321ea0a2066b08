#include "fs/freeze_gate.h"

#include <algorithm>

namespace veneer::fs {

void FreezeGate::Enter() {
  for (;;) {
    inside_.fetch_add(1);
    if (!closed_.load()) return;
    Leave();
    std::unique_lock lock(mu_);
    while (ClosedLocked()) changed_.wait_until(lock, until_);
    if (owner_ != 0) owner_ = 0;  // timed out: whoever sees it first opens the gate
    closed_ = false;
  }
}

void FreezeGate::Leave() {
  if (inside_.fetch_sub(1) == 1 && closed_.load()) {
    std::lock_guard lock(mu_);
    changed_.notify_all();
  }
}

Result<> FreezeGate::Close(uint64_t owner, std::chrono::milliseconds timeout) {
  if (timeout.count() <= 0 || timeout > kLongest) timeout = kLongest;
  std::unique_lock lock(mu_);
  if (ClosedLocked()) return Fail(EBUSY, "freeze");
  owner_ = owner;
  until_ = Clock::now() + timeout;
  closed_ = true;
  if (changed_.wait_until(lock, until_, [&] { return inside_.load() == 0; })) return {};
  owner_ = 0;
  closed_ = false;
  changed_.notify_all();
  return Fail(ETIMEDOUT, "freeze");
}

Result<> FreezeGate::Open() {
  std::lock_guard lock(mu_);
  if (!ClosedLocked()) return Fail(EINVAL, "thaw");
  owner_ = 0;
  closed_ = false;
  changed_.notify_all();
  return {};
}

void FreezeGate::OpenFor(uint64_t owner) {
  std::lock_guard lock(mu_);
  if (owner_ != owner || owner == 0) return;
  owner_ = 0;
  closed_ = false;
  changed_.notify_all();
}

}  // namespace veneer::fs
