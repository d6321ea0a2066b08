// Whether the mounts that this process sees are the host's own.
//
// A mount namespace ends with the last process in it. If that is a daemon killed together with
// everything else in there, as a container's processes are, the kernel unmounts what the daemon
// serves in the daemon's own thread; where that serves a ring of FUSE-over-io_uring, it waits for
// itself, for ever, and sync(2) of the whole host waits for it (seen on Linux 6.18). The host's
// own mount namespace ends with the host.
#pragma once

#include <string>

namespace veneer::fs {

// True if `space`, a file of nsfs (namespaces(7)), is known to be the first mount namespace; false
// also where it cannot be found out (before Linux 6.18 that takes the right to look at process 1).
bool IsHostsMountNamespace(const std::string& space = "/proc/self/ns/mnt");

}  // namespace veneer::fs
