// FreezeGate: every change of the filesystem passes it; closing it holds changes up. Thread-safe.
#pragma once

#include <atomic>
#include <chrono>
#include <climits>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <utility>

#include "store/base/result.h"

namespace veneer::fs {

class FreezeGate {
 public:
  // As long as a commit of a large upper may take.
  static constexpr std::chrono::milliseconds kLongest{3600 * 1000};

  // Inside the gate: it cannot close until this is destroyed.
  class Passage {
   public:
    Passage(Passage&& other) noexcept : gate_(std::exchange(other.gate_, nullptr)) {}
    Passage& operator=(Passage&&) = delete;
    ~Passage() {
      if (gate_ != nullptr) gate_->Leave();
    }

   private:
    friend class FreezeGate;
    explicit Passage(FreezeGate& gate) : gate_(&gate) {}
    FreezeGate* gate_;
  };
  // Waits until the gate is open. kWouldWait: the thread is Impatient.
  Result<Passage> Enter();
  // Another passage, for what goes on after the caller's. REQUIRES: the caller is inside.
  Passage EnterToo() {
    inside_.fetch_add(1);
    return Passage(*this);
  }

  // No more than `most` may wait: one more, and the gate opens, whoever closed it. For servers that
  // could not be asked to open it any more.
  void LimitWaiting(unsigned most) { most_waiting_ = most; }

  // Closes the gate, and waits for those inside to leave. It opens by itself after `timeout`. Gives
  // the number of this closing. EBUSY: closed already. ETIMEDOUT: somebody stayed inside for that
  // long; the gate is open again. ECANCELED: it was opened before all had left, or is open for
  // good.
  Result<uint64_t> Close(std::chrono::milliseconds timeout);
  Result<> Open();                                // EINVAL: not closed, or no longer
  void OpenIf(uint64_t closing);                  // where it is closed by that one
  bool closed() const { return closed_.load(); }  // a moment ago
  void OpenForGood();                             // and whoever closes it, or is about to, fails

 private:
  using Clock = std::chrono::steady_clock;
  void Leave();
  void OpenLocked();
  bool ClosedLocked() const { return closed_ && Clock::now() < until_; }

  std::atomic<int> inside_{0};
  std::atomic<bool> closed_{false};  // changed with mu_
  std::mutex mu_;
  std::condition_variable changed_;
  // Guarded by mu_.
  uint64_t closing_ = 0;  // how often it was closed: whose turn it is
  bool for_good_ = false;
  Clock::time_point until_;
  unsigned waiting_ = 0;  // in Enter()
  std::atomic<unsigned> most_waiting_{UINT_MAX};
};
using Passage = FreezeGate::Passage;

}  // namespace veneer::fs
