// DeviceCage: a cgroup (version 1) whose processes may open no devices but the harmless ones, and a
// thread in it that starts programs there.
//
// Root in a container makes device nodes as it likes; what keeps it from the host's disks is a
// cgroup. A runtime that makes one for each container waits for the kernel each time, for longer
// than all the rest takes; one cage serves a whole build. Thread-safe.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "store/base/mutex.h"
#include "store/base/result.h"
#include "store/base/worker.h"
#include "tools/build/run/child_process.h"

namespace veneer::build {

class DeviceCage {
 public:
  // Errors: ENOTSUP "…": no hierarchy of version 1 that we may change. Takes away the cages of
  // processes that were killed.
  static Result<std::shared_ptr<DeviceCage>> Create();
  // REQUIRES: what was started has ended.
  ~DeviceCage();
  DeviceCage(const DeviceCage&) = delete;
  DeviceCage& operator=(const DeviceCage&) = delete;

  const std::string& path() const { return path_; }  // the cgroup's folder

  // ChildProcess::Start, in the cage.
  Result<ChildProcess> Start(const std::vector<std::string>& words, int stdout_fd, int stderr_fd);

 private:
  explicit DeviceCage(std::string path) : path_(std::move(path)) {}
  Result<> InCage(Worker::Job job);

  const std::string path_;
  Mutex mu_;  // one job at a time
  std::unique_ptr<Worker> thread_ GUARDED_BY(mu_) = std::make_unique<Worker>(1);
};

}  // namespace veneer::build
