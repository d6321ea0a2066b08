// What mounts need to be mounted on: made in a root filesystem before a step, and taken away after.
//
// A stub is an empty file or directory. It is taken away unless it is no longer empty, and the
// directory that it was in gets its modification time back (the step's own, if it changed that
// directory, too). Nothing is followed out of the root, whatever the step did to it meanwhile.
#pragma once

#include <sys/types.h>
#include <time.h>

#include <string>
#include <vector>

#include "store/base/result.h"
#include "tools/build/run/mount_plan.h"

namespace veneer::build {

class MountStubs {
 public:
  // For each of the mounts that is not within another. `root_fd` is borrowed for as long as the
  // object lives.
  static Result<MountStubs> Create(int root_fd, const std::vector<ContainerMount>& mounts);
  MountStubs(MountStubs&& other) noexcept;
  MountStubs& operator=(MountStubs&&) = delete;
  // Removes what is left, if Remove was not called.
  ~MountStubs();

  // Takes all away. Goes on after an error, and returns the first one.
  Result<> Remove();

 private:
  struct Stub {
    std::string path;  // relative to the root
    bool is_directory = true;
    timespec before = {};  // when its directory was changed, without the stub,
    timespec after = {};   // and with it
  };

  explicit MountStubs(int root_fd) : root_fd_(root_fd) {}
  Result<> MakeAll(const std::string& path, const ContainerMount& mount);
  Result<> MakeOne(const std::string& path, bool is_directory, mode_t mode);
  Result<> RemoveOne(const Stub& stub);

  int root_fd_;
  std::vector<Stub> stubs_;  // in the order they were made
};

}  // namespace veneer::build
