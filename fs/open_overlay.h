// OpenOverlay: the engine that a command line asks for: its lower, its upper, and both together.
// For veneerfs, and for whoever runs the engine without it.
#pragma once

#include <memory>

#include "fs/options.h"
#include "fs/overlay.h"
#include "store/base/result.h"

namespace veneer::fs {

// Opens lower and upper as `options` say, and takes the upper for this process. Errors are those of
// DirStackLower, TreeLower and Upper; EINVAL where directories overlap that must not.
Result<std::unique_ptr<Overlay>> OpenOverlay(const Options& options);

}  // namespace veneer::fs
