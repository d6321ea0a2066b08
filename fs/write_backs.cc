#include "fs/write_backs.h"

#include <new>
#include <utility>

namespace veneer::fs {

void WriteBacks::Limit(unsigned most) {
  MutexLock lock(mu_);
  most_ = most;
}

void WriteBacks::Run(Task task, Where where) {
  bool enters;
  {
    MutexLock lock(mu_);
    enters = !ended_ && MayEnterLocked(task);
    if (!ended_ && !enters && where == Where::kOffRing) {
      kept_.push_back(std::move(task));
      return;
    }
    if (enters) ++inside_;
  }
  if (!enters) {
    task.instead();
  } else if (where == Where::kOffRing) {
    Work(task);
  } else {
    workers_.Run([this, task = std::move(task)] { Work(task); });
  }
}

void WriteBacks::Work(const Task& task) {
  bool written = true;
  try {
    task.write();
  } catch (const std::bad_alloc&) {
    written = false;
  }
  Leave();
  written ? task.then() : task.instead();
}

void WriteBacks::Leave() {
  Task next;
  {
    MutexLock lock(mu_);
    --inside_;
    if (inside_ == 0) left_.NotifyAll();
    if (kept_.empty() || !MayEnterLocked(kept_.front())) return;
    next = std::move(kept_.front());
    kept_.pop_front();
    ++inside_;
  }
  workers_.Run([this, task = std::move(next)] { Work(task); });
}

void WriteBacks::End() {
  std::deque<Task> kept;
  {
    MutexLock lock(mu_);
    ended_ = true;
    kept.swap(kept_);
  }
  for (Task& task : kept) task.instead();
  MutexLock lock(mu_);
  while (inside_ > 0) left_.Wait(mu_);
}

}  // namespace veneer::fs
