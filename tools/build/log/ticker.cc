#include "tools/build/log/ticker.h"

#include <system_error>
#include <utility>

namespace veneer::build {

Ticker::Ticker(std::chrono::milliseconds period, std::function<void()> tick)
    : period_(period), tick_(std::move(tick)) {
  try {
    thread_ = std::thread([this] { Run(); });
  } catch (const std::system_error&) {
    return;  // a display that stands still is better than no build
  }
}

Ticker::~Ticker() {
  {
    const MutexLock lock(mu_);
    ending_ = true;
    changed_.NotifyAll();
  }
  if (thread_.joinable()) thread_.join();
}

void Ticker::Run() {
  for (;;) {
    const auto due = std::chrono::steady_clock::now() + period_;
    {
      const MutexLock lock(mu_);
      for (;;) {
        if (ending_) return;
        const auto now = std::chrono::steady_clock::now();
        if (now >= due) break;
        changed_.WaitFor(mu_, due - now);
      }
    }
    tick_();
  }
}

}  // namespace veneer::build
