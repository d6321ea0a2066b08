#include "fs/replier.h"

namespace veneer::fs {

Replier::~Replier() {
  {
    MutexLock lock(mu_);
    ending_ = true;
    asked_.NotifyAll();
  }
  thread_.join();
}

int Replier::Call(const std::function<int()>& reply) {
  Task task{&reply};
  MutexLock lock(mu_);
  tasks_.push_back(&task);
  asked_.NotifyAll();
  while (!task.done) done_.Wait(mu_);
  return task.result;
}

void Replier::Work() {
  MutexLock lock(mu_);
  for (;;) {
    while (tasks_.empty() && !ending_) asked_.Wait(mu_);
    if (tasks_.empty()) return;
    Task* task = tasks_.front();
    tasks_.pop_front();
    mu_.Unlock();
    int result = (*task->reply)();
    mu_.Lock();
    task->result = result;
    task->done = true;
    done_.NotifyAll();
  }
}

}  // namespace veneer::fs
