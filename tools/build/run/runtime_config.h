// config.json of an OCI bundle (runtime-spec 1.0) for one command of a build.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "store/base/result.h"
#include "tools/build/run/mount_plan.h"
#include "tools/build/run/process_user.h"
#include "tools/build/run/run_step.h"
#include "tools/build/run/user_namespace.h"

namespace veneer::build {

struct ConfigParts {
  const RunSpec* spec = nullptr;
  std::string root;  // of spec->root: absolute, without symlinks
  std::vector<ContainerMount> mounts;
  ProcessUser user;
  std::string working_dir;      // absolute
  bool manages_cgroups = true;  // the runtime makes a cgroup for the container
  bool mounts_cgroups = true;   // /sys/fs/cgroup is among the mounts
  UserNamespace user_namespace;
  std::string seccomp_filter;  // ready-made, in Base64, for a runtime that takes it; may be empty
};

// Errors (EINVAL): words or variables with a NUL, which no process can get; a limit that has no
// name ("invalid ulimit type: x"); paths that are not UTF-8, which JSON is. Other text that is not
// UTF-8 comes with U+FFFD in it, as from BuildKit.
Result<std::string> RuntimeConfig(const ConfigParts& parts);

}  // namespace veneer::build
