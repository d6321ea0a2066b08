// ProcessWatch: notices that a process has ended.
#pragma once

#include <sys/types.h>

#include <functional>
#include <thread>

#include "store/base/unique_fd.h"

namespace veneer::fs {

class ProcessWatch {
 public:
  // `ended` is called once, on a thread of its own, when the process of thread `thread` has ended
  // (pidfd_open(2)): never, where this process cannot see that one.
  ProcessWatch(pid_t thread, std::function<void()> ended);
  // After it, `ended` is not called any more.
  ~ProcessWatch();
  ProcessWatch(const ProcessWatch&) = delete;
  ProcessWatch& operator=(const ProcessWatch&) = delete;

 private:
  void Watch();

  const std::function<void()> ended_;
  UniqueFd process_;
  UniqueFd enough_;  // an eventfd: the watch is over
  std::thread thread_;
};

}  // namespace veneer::fs
