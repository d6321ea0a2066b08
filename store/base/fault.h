// Fault points: named places where a test can make an operation fail, wait, or kill the process.
//
// Armed through the environment, before the first point is reached:
//   VENEER_FAULTS="copy_up.before_rename=kill;store.publish=error:ENOSPC@3"
// point=action[@n]: the action fires on the n-th passage only (default 1). Actions: kill (SIGKILL
// to self), error:ERRNAME (EIO, ENOSPC, ENOMEM, EINTR, EMLINK), delay:MILLISECONDS (every passage
// from the n-th on). Without the variable a point costs one relaxed load.
#pragma once

#include <atomic>
#include <string_view>

#include "store/base/result.h"

namespace veneer {

namespace fault_internal {
extern std::atomic<bool> armed;
Result<> Hit(std::string_view point);
}  // namespace fault_internal

// Passes the point `name`; an error only when a test asked for one here. Names are "part.place".
inline Result<> FaultPoint(std::string_view name) {
  if (!fault_internal::armed.load(std::memory_order_relaxed)) return {};
  return fault_internal::Hit(name);
}

// Arms points from `spec` (the syntax above), replacing what was armed. For tests in the same
// process.
Result<> ArmFaults(std::string_view spec);

}  // namespace veneer
