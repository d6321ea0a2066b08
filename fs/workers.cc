#include "fs/workers.h"

#include <pthread.h>

#include <utility>

namespace veneer::fs {

namespace {

thread_local bool is_worker = false;

}  // namespace

Workers::Workers(std::function<void()> at_limit) : at_limit_(std::move(at_limit)) {
  CPU_ZERO(&cpus_);
  sched_getaffinity(0, sizeof cpus_, &cpus_);
}

Workers::~Workers() {
  MutexLock lock(mu_);
  ending_ = true;
  changed_.NotifyAll();
  while (threads_ > 0) changed_.Wait(mu_);
}

void Workers::Run(std::function<void()> task) {
  std::function<void()> left;  // for this thread
  {
    MutexLock lock(mu_);
    tasks_.push_back(std::move(task));
    if (tasks_.size() <= idle_) {
      changed_.NotifyAll();
      return;
    }
    ++threads_;
    if (Start()) return;
    --threads_;
    if (threads_ == 0) {
      left = std::move(tasks_.back());
      tasks_.pop_back();
    }
  }
  at_limit_();
  if (left) left();
}

bool Workers::Start() {
  pthread_attr_t attributes;
  if (pthread_attr_init(&attributes) != 0) return false;
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_attr_setaffinity_np(&attributes, sizeof cpus_, &cpus_);
  pthread_t thread;
  bool started = pthread_create(&thread, &attributes, Main, this) == 0;
  pthread_attr_destroy(&attributes);
  return started;
}

void Workers::Drain() {
  MutexLock lock(mu_);
  while (running_ > 0 || !tasks_.empty()) drained_.Wait(mu_);
}

bool Workers::IsWorker() { return is_worker; }

void* Workers::Main(void* self) {
  is_worker = true;
  static_cast<Workers*>(self)->Work();
  return nullptr;
}

void Workers::Work() {
  MutexLock lock(mu_);
  for (;;) {
    while (tasks_.empty() && !ending_) {
      ++idle_;
      changed_.Wait(mu_);
      --idle_;
    }
    if (tasks_.empty()) break;
    std::function<void()> task = std::move(tasks_.front());
    tasks_.pop_front();
    ++running_;
    mu_.Unlock();
    task();
    task = nullptr;
    mu_.Lock();
    if (--running_ == 0 && tasks_.empty()) drained_.NotifyAll();
  }
  if (--threads_ == 0) changed_.NotifyAll();
}

}  // namespace veneer::fs
