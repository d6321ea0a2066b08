// Mounts that a process which was killed left below a folder of the store: a step's root
// filesystem, whose daemon may live on or be dead, and what was mounted in it.
#pragma once

#include "store/base/result.h"

namespace veneer {

// Detaches (umount2(2), MNT_DETACH) all mounts below the directory that this process sees, the
// newest first: files of others that are mounted there must not be taken for part of it. Mounts in
// other mount namespaces keep nothing from being removed. REQUIRES: /proc is mounted.
Result<> DetachMountsBelow(int dirfd);

}  // namespace veneer
