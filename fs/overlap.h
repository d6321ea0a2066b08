// Refusing directories that lie in one another: a mount whose upper holds its own lower would
// change it.
#pragma once

#include <string>
#include <vector>

#include "store/base/result.h"

namespace veneer::fs {

// EINVAL, naming the two, when upper and work lie in one another, or a lower is one of them or lies
// in one of them. An upper inside a lower is allowed, as the kernel's overlayfs allows it
// (lowerdir=/).
Result<> RefuseOverlap(const std::string& upper, const std::string& work,
                       const std::vector<std::string>& lowers);

}  // namespace veneer::fs
