// Lower directories are used through a mount of their own that is read-only: whatever is opened
// from there, by us or by the kernel on our behalf (passthrough), cannot be written to.
#pragma once

#include <string>

#include "store/base/result.h"
#include "store/base/unique_fd.h"

namespace veneer::fs {

// Opens directory `path` with `flags` (open(2), besides O_DIRECTORY) in a private read-only clone
// of the mount it is in, which lives as long as what is open in it. What is mounted below, now or
// later, is not in the clone, as in lowers of the kernel's overlayfs: so a mount point inside a
// lower does no harm. Where the process may not make a clone (CAP_SYS_ADMIN over its mount
// namespace, Linux 5.12), it is the directory as it is. Errors are open(2)'s.
Result<UniqueFd> OpenReadOnlyClone(const std::string& path, int flags);

}  // namespace veneer::fs
