#include "fs/freeze_gate.h"

#include <algorithm>

#include "fs/log.h"
#include "fs/patience.h"

namespace veneer::fs {

Result<Passage> FreezeGate::Enter() {
  for (;;) {
    inside_.fetch_add(1);
    if (!closed_.load()) return Passage(*this);
    Leave();
    TRY(RequirePatience("frozen"));
    std::unique_lock lock(mu_);
    if (ClosedLocked() && ++waiting_ > most_waiting_) {
      Log(LogLevel::kWarning, "thawed: {} requests wait, and no more can be kept", waiting_ - 1);
      OpenLocked();
    }
    while (ClosedLocked()) changed_.wait_until(lock, until_);
    OpenLocked();  // timed out: whoever sees it first opens the gate
  }
}

void FreezeGate::OpenLocked() {
  owner_ = 0;
  waiting_ = 0;
  closed_ = false;
  changed_.notify_all();
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
  OpenLocked();
  return Fail(ETIMEDOUT, "freeze");
}

Result<> FreezeGate::Open() {
  std::lock_guard lock(mu_);
  if (!ClosedLocked()) return Fail(EINVAL, "thaw");
  OpenLocked();
  return {};
}

void FreezeGate::OpenFor(uint64_t owner) {
  std::lock_guard lock(mu_);
  if (owner_ == owner && owner != 0) OpenLocked();
}

}  // namespace veneer::fs
