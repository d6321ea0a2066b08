// Copying the bytes of one file into another in the kernel. Stateless; thread-safe.
#pragma once

#include <cstdint>

#include "store/base/result.h"

namespace veneer::fs {

// Makes the content of `to` (a regular file opened for writing) equal to the first `size` bytes of
// `from`: cloned where the host can, else copied with its holes kept. `to` must hold only zeros
// before, or nothing. Returns the bytes copied, which are 0 for a clone.
Result<uint64_t> CopyData(int from, int to, uint64_t size);

}  // namespace veneer::fs
