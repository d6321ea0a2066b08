// Hosts whose cgroups are of version 1, with a tree of version 2 at /sys/fs/cgroup/unified.
//
// crun refuses to work at all where that tree has controllers of its own, whatever it is told to
// do with cgroups.
#pragma once

#include "store/base/result.h"

namespace veneer::build {

// Covers that tree, if there is one, in the mount namespace that we are in. REQUIRES: the namespace
// is ours, and propagates nothing to others. Success where there is nothing to cover.
Result<> HideUnifiedCgroups();

}  // namespace veneer::build
