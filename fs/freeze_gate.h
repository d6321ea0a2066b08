// FreezeGate: every change of the filesystem passes it; closing it holds changes up. Thread-safe.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>

#include "store/base/result.h"

namespace veneer::fs {

class FreezeGate {
 public:
  // As long as a commit of a large upper may take; closing the descriptor that asked opens the gate
  // at once.
  static constexpr std::chrono::milliseconds kLongest{3600 * 1000};

  // Waits until the gate is open; the gate cannot close until Leave().
  void Enter();
  void Leave();

  // Closes the gate for `owner` (not 0), and waits for those inside to leave. It opens by itself
  // after `timeout`. EBUSY: closed already. ETIMEDOUT: somebody stayed inside for that long; the
  // gate is open again.
  Result<> Close(uint64_t owner, std::chrono::milliseconds timeout);
  Result<> Open();               // EINVAL: not closed
  void OpenFor(uint64_t owner);  // where `owner` closed it

 private:
  using Clock = std::chrono::steady_clock;
  bool ClosedLocked() const { return owner_ != 0 && Clock::now() < until_; }

  std::atomic<int> inside_{0};
  std::atomic<bool> closed_{false};
  std::mutex mu_;
  std::condition_variable changed_;
  uint64_t owner_ = 0;  // guarded by mu_
  Clock::time_point until_;
};

// Being inside the gate.
class Passage {
 public:
  explicit Passage(FreezeGate& gate) : gate_(gate) { gate_.Enter(); }
  ~Passage() { gate_.Leave(); }
  Passage(const Passage&) = delete;
  Passage& operator=(const Passage&) = delete;

 private:
  FreezeGate& gate_;
};

}  // namespace veneer::fs
