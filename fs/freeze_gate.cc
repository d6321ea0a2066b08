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
    if (ClosedLocked() && waiting_ >= most_waiting_) {
      Log(LogLevel::kWarning, "thawed: {} requests wait, and no more can be kept", waiting_);
      OpenLocked();
    }
    ++waiting_;
    while (ClosedLocked()) changed_.wait_until(lock, until_);
    --waiting_;
    OpenLocked();  // timed out: whoever sees it first opens the gate
  }
}

void FreezeGate::OpenLocked() {
  closed_ = false;
  changed_.notify_all();
}

void FreezeGate::Leave() {
  if (inside_.fetch_sub(1) == 1 && closed_.load()) {
    std::lock_guard lock(mu_);
    changed_.notify_all();
  }
}

Result<uint64_t> FreezeGate::Close(std::chrono::milliseconds timeout) {
  if (timeout.count() <= 0 || timeout > kLongest) timeout = kLongest;
  std::unique_lock lock(mu_);
  if (for_good_) return Fail(ECANCELED, "freeze");
  if (ClosedLocked()) return Fail(EBUSY, "freeze");
  const uint64_t closing = ++closing_;
  const Clock::time_point until = Clock::now() + timeout;
  until_ = until;
  closed_ = true;
  // Opened meanwhile, and perhaps closed by somebody else since: that is theirs.
  auto ours = [&] { return closed_ && closing_ == closing; };
  while (ours() && inside_.load() != 0 && Clock::now() < until) changed_.wait_until(lock, until);
  if (ours() && inside_.load() == 0) return closing;
  if (ours()) OpenLocked();
  return Fail(Clock::now() < until ? ECANCELED : ETIMEDOUT, "freeze");
}

Result<> FreezeGate::Open() {
  std::lock_guard lock(mu_);
  if (!ClosedLocked()) return Fail(EINVAL, "thaw");
  OpenLocked();
  return {};
}

void FreezeGate::OpenIf(uint64_t closing) {
  std::lock_guard lock(mu_);
  if (closed_ && closing_ == closing) OpenLocked();
}

void FreezeGate::OpenForGood() {
  std::lock_guard lock(mu_);
  for_good_ = true;
  if (ClosedLocked()) Log(LogLevel::kInfo, "thawed, to end");
  OpenLocked();
}

}  // namespace veneer::fs
