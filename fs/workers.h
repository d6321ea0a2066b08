// Workers: threads for what must not run where it was asked for. A task waits for another's
// thread only where no more can be started. They must give nothing to an io_uring: its completions
// would wait until the thread that gave it runs again (replier.h). Thread-safe.
#pragma once

#include <sched.h>

#include <deque>
#include <functional>

#include "store/base/mutex.h"

namespace veneer::fs {

class Workers {
 public:
  // Threads run on the CPUs that the calling thread may use now. `at_limit` is called when no
  // thread can be started, and a task waits for others, or is run, where it was asked for.
  explicit Workers(std::function<void()> at_limit);
  // Waits for all tasks.
  ~Workers();
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  // Runs `task` soon. Where no thread can be started and none exists, before it returns; where none
  // can be started, once an earlier task is done.
  void Run(std::function<void()> task);
  // Returns when no task is left, nor running.
  void Drain();
  static bool IsWorker();  // the calling thread

 private:
  static void* Main(void* self);
  void Work();
  bool Start();

  const std::function<void()> at_limit_;
  cpu_set_t cpus_;
  Mutex mu_;
  CondVar changed_;
  CondVar drained_;
  std::deque<std::function<void()>> tasks_ GUARDED_BY(mu_);
  unsigned threads_ GUARDED_BY(mu_) = 0;
  unsigned idle_ GUARDED_BY(mu_) = 0;
  unsigned running_ GUARDED_BY(mu_) = 0;
  bool ending_ GUARDED_BY(mu_) = false;
};

}  // namespace veneer::fs
