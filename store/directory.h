// Listing directories of the store.
#pragma once

#include <string>
#include <vector>

#include "store/base/result.h"

namespace veneer {

// Names in `path` below `dirfd`, "." and ".." left out, sorted. A missing directory is empty.
Result<std::vector<std::string>> ListDirectory(int dirfd, const std::string& path);

}  // namespace veneer
