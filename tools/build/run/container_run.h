// One container from beginning to end: `runtime run`, what it prints, and how it ends.
//
// The runtime's state and log are in the bundle's directory; when Run has returned, no process of
// the container is left and nothing that the runtime would remember.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "store/base/result.h"
#include "tools/build/run/device_cage.h"
#include "tools/build/run/run_step.h"

namespace veneer::build {

struct ContainerRun {
  std::string runtime;                    // the program's path
  std::vector<std::string> global_words;  // before its command
  std::string bundle;                     // with config.json; absolute
  DeviceCage* cage = nullptr;             // where it is started; null: where we are

  // As OciRuntime::Run. An error of the runtime's is its own sentence.
  Result<int> Run(const StepOutput& output, const std::function<bool()>& cancelled) const;
};

}  // namespace veneer::build
