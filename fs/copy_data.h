// Copying the bytes of one file into another in the kernel. Stateless; thread-safe.
#pragma once

#include <cstdint>
#include <functional>

#include "store/base/result.h"

namespace veneer::fs {

// Calls `visit` for each part of the first `size` bytes of `fd` that is data, not hole, in order;
// for all of it where the host's filesystem cannot tell. Stops at the first error.
Result<> ForEachExtent(int fd, uint64_t size,
                       const std::function<Result<>(uint64_t start, uint64_t end)>& visit);

// Makes `to` a clone of `from` (FICLONE). False: the host cannot, or `from` has another size.
bool CloneData(int from, int to, uint64_t size);

// Copies `length` bytes at `offset`. EIO: `from` ends before.
Result<> CopyRange(int from, int to, uint64_t offset, uint64_t length);

// Makes the content of `to` (a regular file opened for writing) equal to the first `size` bytes of
// `from`, with its holes kept. `to` must hold only zeros before, or nothing. Returns the bytes
// copied.
Result<uint64_t> CopyData(int from, int to, uint64_t size);

// Whether `copy` has data, on the disk or on its way there, wherever the first `size` bytes of
// `from` have: where a copy was cut short by a crash it has not, since the host's filesystem gives
// a file no written blocks before their data.
Result<bool> CopyIsWhole(int from, int copy, uint64_t size);

}  // namespace veneer::fs
