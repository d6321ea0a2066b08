// Replier: the one thread that answers requests of rings for threads that do other work.
//
// The kernel hands a ring's next request to the thread that gave back the buffer it comes in, and
// that thread takes it when it next runs. One that sleeps in the kernel meanwhile, for the disk or
// for pages to be written, keeps the request from everybody: if it waits for that very request, for
// ever. This thread never does. Thread-safe.
#pragma once

#include <deque>
#include <functional>
#include <thread>

#include "store/base/mutex.h"

namespace veneer::fs {

class Replier {
 public:
  Replier() : thread_([this] { Work(); }) {}
  ~Replier();
  Replier(const Replier&) = delete;
  Replier& operator=(const Replier&) = delete;

  // Calls `reply` in the thread, and returns what it returned.
  int Call(const std::function<int()>& reply);

 private:
  struct Task {
    const std::function<int()>* reply;
    int result = 0;
    bool done = false;
  };
  void Work();

  Mutex mu_;
  CondVar asked_;
  CondVar done_;
  std::deque<Task*> tasks_ GUARDED_BY(mu_);
  bool ending_ GUARDED_BY(mu_) = false;
  std::thread thread_;
};

}  // namespace veneer::fs
