#include "store/base/worker.h"

#include <new>
#include <system_error>
#include <utility>

namespace veneer {

Worker::~Worker() {
  {
    MutexLock lock(mu_);
    ending_ = true;
    changed_.NotifyAll();
  }
  if (thread_.joinable()) thread_.join();
}

Result<> Worker::Give(Job job) {
  if (!thread_.joinable()) {
    try {
      thread_ = std::thread([this] { Run(); });
    } catch (const std::system_error& e) {
      return Fail(e.code().value(), "start a thread");
    }
  }
  MutexLock lock(mu_);
  while (outcome_ && waiting_.size() >= max_waiting_) changed_.Wait(mu_);
  if (!outcome_) return outcome_;
  waiting_.push_back(std::move(job));
  changed_.NotifyAll();
  return {};
}

Result<> Worker::Finish() {
  MutexLock lock(mu_);
  while (outcome_ && (working_ || !waiting_.empty())) changed_.Wait(mu_);
  return outcome_;
}

void Worker::Run() {
  mu_.Lock();
  for (;;) {
    while (waiting_.empty() && !ending_) changed_.Wait(mu_);
    if (ending_) break;
    Job job = std::move(waiting_.front());
    waiting_.pop_front();
    working_ = true;
    changed_.NotifyAll();
    mu_.Unlock();
    Result<> done;
    try {
      done = job();
      job = nullptr;
    } catch (const std::bad_alloc&) {
      done = Fail(ENOMEM, "work");
    }
    mu_.Lock();
    working_ = false;
    if (!done) {
      outcome_ = std::move(done);
      waiting_.clear();
    }
    changed_.NotifyAll();
  }
  mu_.Unlock();
}

}  // namespace veneer
