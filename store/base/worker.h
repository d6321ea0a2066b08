// Worker: a thread that does jobs one after another, in the order they were given.
//
// The thread starts with the first job. Jobs that wait are bounded, so whoever gives more than the
// thread can do waits for it. What a job refers to must outlive the worker. Give and Finish are for
// one thread, the owner's.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <thread>

#include "store/base/mutex.h"
#include "store/base/result.h"

namespace veneer {

class Worker {
 public:
  using Job = std::move_only_function<Result<>()>;

  explicit Worker(size_t max_waiting) : max_waiting_(max_waiting) {}
  ~Worker();  // waits for the job under way; those that wait are dropped
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // Waits while `max_waiting` jobs wait. The error of an earlier job, after which none is done; a
  // job without memory for it fails with ENOMEM.
  Result<> Give(Job job);

  // Waits until all jobs given were done; the first error there was.
  Result<> Finish();

  bool started() const { return thread_.joinable(); }

 private:
  void Run();

  const size_t max_waiting_;
  Mutex mu_;
  CondVar changed_;
  std::deque<Job> waiting_ GUARDED_BY(mu_);
  bool working_ GUARDED_BY(mu_) = false;
  bool ending_ GUARDED_BY(mu_) = false;
  Result<> outcome_ GUARDED_BY(mu_);
  std::thread thread_;
};

}  // namespace veneer
