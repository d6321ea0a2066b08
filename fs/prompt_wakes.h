// PromptWakes: keeps idle CPUs from falling asleep while many requests come.
//
// Who asks the daemon waits for it, and it for the next request; each time a CPU has nothing to do,
// halts, and is woken a moment later, which takes longer than the answer: of a round trip of 20 to
// 48 us on two idle virtual CPUs waking was all but 14. So while requests come in close succession
// the daemon holds a limit on how long CPUs may take to wake (/dev/cpu_dma_latency:
// Documentation/power/pm_qos_interface in the kernel's source), and lets go of it soon after. That
// costs power for as long, and nobody's time: a CPU that polls does whatever comes at once.
// Without the right to open that file nothing happens.
//
// A process that is killed lets go too: the limit lasts as long as the open file.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <thread>

#include "store/base/mutex.h"
#include "store/base/unique_fd.h"

namespace veneer::fs {

class PromptWakes {
 public:
  // Returns what holds the limit while it is open, or nothing where there is no such thing.
  using Hold = std::function<UniqueFd()>;
  // Starts a thread, which runs wherever the calling one may.
  explicit PromptWakes(Hold hold = HoldLatencyLimit);
  ~PromptWakes();
  PromptWakes(const PromptWakes&) = delete;
  PromptWakes& operator=(const PromptWakes&) = delete;

  // A request was answered. Thread-safe, and cheap.
  void Count() {
    uint32_t count = count_.fetch_add(1, std::memory_order_relaxed) + 1;
    if (count % kBurst == 0 && state_.load(std::memory_order_relaxed) == State::kResting) {
      AfterBurst();
    }
  }
  bool holds() const { return state_.load() == State::kHolding; }

  static UniqueFd HoldLatencyLimit();

 private:
  // kResting -> kHolding when a burst comes, and back; kOff is for good.
  enum class State : uint8_t { kResting, kHolding, kOff };
  // So many requests within kBurstTime (prompt_wakes.cc) are a burst.
  static constexpr uint32_t kBurst = 16;

  void AfterBurst();
  void Watch();

  const Hold hold_;
  std::atomic<uint32_t> count_{0};
  std::atomic<int64_t> burst_began_{0};  // steady clock, ns
  std::atomic<State> state_{State::kResting};
  Mutex mu_;
  CondVar changed_;
  bool wanted_ GUARDED_BY(mu_) = false;
  bool ending_ GUARDED_BY(mu_) = false;
  std::thread watcher_;
};

}  // namespace veneer::fs
