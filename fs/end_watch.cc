#include "fs/end_watch.h"

#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <utility>

namespace veneer::fs {
namespace {

constexpr std::array kSignals = {SIGTERM, SIGINT, SIGHUP};

// For the handler; a process serves one mount.
std::atomic<int> event{-1};
std::atomic<int> asked{0};  // the signal that asked first; more of them change nothing
struct sigaction previous[kSignals.size()] = {};

void Restore() {
  for (size_t i = 0; i < kSignals.size(); ++i) sigaction(kSignals[i], &previous[i], nullptr);
}

void Wake() {
  int saved = errno;
  uint64_t one = 1;
  (void)!write(event, &one, sizeof one);
  errno = saved;
}

void OnSignal(int signal) {
  int none = 0;
  if (asked.compare_exchange_strong(none, signal)) Wake();
}

}  // namespace

EndWatch::EndWatch(Overlay& overlay, std::function<void()> write_back)
    : event_(eventfd(0, EFD_CLOEXEC)), write_back_(std::move(write_back)) {
  if (!event_) return;
  event = event_.get();
  asked = 0;
  for (size_t i = 0; i < kSignals.size(); ++i) sigaction(kSignals[i], nullptr, &previous[i]);
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);  // signals are to wake the loop's thread
  thread_ = std::thread([this, &overlay] { Watch(overlay); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  for (size_t i = 0; i < kSignals.size(); ++i) {
    if (previous[i].sa_handler == SIG_IGN || previous[i].sa_handler == SIG_DFL) continue;
    struct sigaction action = previous[i];
    action.sa_handler = OnSignal;
    sigaction(kSignals[i], &action, nullptr);
  }
}

EndWatch::~EndWatch() {
  if (!event_) return;
  Restore();
  Wake();
  thread_.join();
  event = -1;
}

void EndWatch::Watch(Overlay& overlay) {
  uint64_t count = 0;
  while (read(event_.get(), &count, sizeof count) < 0 && errno == EINTR) {
  }
  if (asked == 0) return;  // the loop ended by itself
  overlay.ThawForGood();
  write_back_();
  Restore();
  kill(getpid(), asked);
}

}  // namespace veneer::fs
