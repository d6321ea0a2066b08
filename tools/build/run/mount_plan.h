// What a container mounts over its root filesystem, in order, with the places found in it.
//
// Docker's mounts (/proc, /dev, /sys, …), our /etc/resolv.conf and /etc/hosts, then the step's own.
// A mount on the place of an earlier one takes its turn. A tmpfs has the mode of the directory that
// it hides, and is everybody's (1777) where there was none.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "store/base/result.h"
#include "tools/build/run/run_step.h"
#include "tools/build/run/user_namespace.h"

namespace veneer::build {

// An entry of "mounts" in an OCI runtime's config.json, and what there is at its place.
struct ContainerMount {
  std::string destination;  // absolute, without symlinks
  std::string type;
  std::string source;
  std::vector<std::string> options;
  bool is_file = false;     // what is mounted is no directory
  bool within = false;      // the place is in an earlier mount: the runtime finds or makes it there
  mode_t stub_mode = 0755;  // of the directory to mount on, where there is none
};

struct MountOptions {
  std::string hosts;  // the files that are to be seen in /etc
  std::string resolv_conf;
  uint64_t shm_size = 0;  // bytes; 0: 64 MiB
  bool insecure = false;  // /sys writable
  bool with_cgroups = true;
  UserNamespace user_namespace;
};

// Errors (sentences): a source that is missing, /proc, /dev or /sys being no directories, a target
// that does not fit what is mounted there.
Result<std::vector<ContainerMount>> PlanMounts(int root_fd, const MountOptions& options,
                                               const std::vector<StepMount>& step_mounts);

}  // namespace veneer::build
