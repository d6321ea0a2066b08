// What files take on disk.
#pragma once

#include <cstdint>
#include <string>

#include "store/base/result.h"

namespace veneer {

// Bytes allocated (st_blocks) for `path` below `dirfd` and, if it is a directory, all below it, on
// the same filesystem; a file with several names counts once. A missing path is 0. What disappears
// meanwhile is left out, and so is what is in directories that may not be read.
// Directories more than 256 deep do not count.
Result<uint64_t> AllocatedBytes(int dirfd, const std::string& path);

}  // namespace veneer
