#include "fs/prompt_wakes.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <string>
#include <system_error>
#include <utility>

#include "fs/log.h"

namespace veneer::fs {

namespace {

using std::chrono::milliseconds;

constexpr milliseconds kBurstTime{4};
// While it is held: with fewer requests than a burst in each of so many looks it is let go.
constexpr milliseconds kLook{10};
constexpr int kQuietLooks = 3;

// In microseconds. On a virtual machine even the lightest sleep goes through the hypervisor, so
// none is allowed; hardware wakes from its lightest in less than this.
int32_t LatencyLimit() {
  std::string driver;
  std::ifstream("/sys/devices/system/cpu/cpuidle/current_driver") >> driver;
  return driver == "haltpoll" ? 0 : 5;
}

int64_t Now() { return std::chrono::steady_clock::now().time_since_epoch().count(); }

}  // namespace

UniqueFd PromptWakes::HoldLatencyLimit() {
  const int32_t limit = LatencyLimit();
  UniqueFd file(open("/dev/cpu_dma_latency", O_WRONLY | O_CLOEXEC));
  if (file && write(file.get(), &limit, sizeof limit) != sizeof limit) file.Reset();
  return file;
}

PromptWakes::PromptWakes(Hold hold) : hold_(std::move(hold)) {
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);  // signals are for the server's threads
  try {
    watcher_ = std::thread([this] { Watch(); });
  } catch (const std::system_error&) {  // no more threads: then without
    state_ = State::kOff;
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

PromptWakes::~PromptWakes() {
  {
    MutexLock lock(mu_);
    ending_ = true;
    changed_.NotifyAll();
  }
  if (watcher_.joinable()) watcher_.join();
}

void PromptWakes::AfterBurst() {
  int64_t now = Now();
  int64_t began = burst_began_.exchange(now, std::memory_order_relaxed);
  if (std::chrono::nanoseconds(now - began) > kBurstTime) return;
  MutexLock lock(mu_);
  if (wanted_ || state_ != State::kResting) return;
  wanted_ = true;
  changed_.NotifyAll();
}

void PromptWakes::Watch() {
  MutexLock lock(mu_);
  for (;;) {
    while (!wanted_ && !ending_) changed_.Wait(mu_);
    if (ending_) return;
    mu_.Unlock();  // who has a request answered must not wait for the host's device
    UniqueFd held = hold_();
    mu_.Lock();
    if (!held) {
      Log(LogLevel::kDebug, "the latency of CPUs cannot be limited here");
      state_ = State::kOff;
      return;
    }
    state_ = State::kHolding;
    uint32_t before = count_.load(std::memory_order_relaxed);
    for (int quiet = 0; quiet < kQuietLooks && !ending_;) {
      changed_.WaitFor(mu_, kLook);
      uint32_t now = count_.load(std::memory_order_relaxed);
      quiet = now - before < kBurst ? quiet + 1 : 0;
      before = now;
    }
    wanted_ = false;
    state_ = State::kResting;
  }
}

}  // namespace veneer::fs
