// A program that does nothing, in a few bytes: to find out whether a runtime can run one at all.
#pragma once

#include <string>

#include "store/base/result.h"

namespace veneer::build {

// A static executable for this machine that exits with status 0. ENOTSUP on machines that nobody
// has written one for.
Result<std::string> ProbeProgram();

}  // namespace veneer::build
