// Copying trees with all that a filesystem keeps: owners, modes, times, xattrs, holes, hard links,
// special files.
#pragma once

#include <functional>
#include <string>

#include "store/base/result.h"

namespace veneer::differential {

// Makes `to`, a copy of the file or (empty) directory `from`, with all attributes but its times.
Result<> CopyOne(const std::string& from, const std::string& to);
Result<> CopyTimes(const std::string& from, const std::string& to);

// Makes the directory `to` a copy of the tree `from`, hard links kept.
Result<> CopyTree(const std::string& from, const std::string& to);

// Names in a directory, sorted, without "." and "..".
Result<std::vector<std::string>> NamesIn(const std::string& dir);

}  // namespace veneer::differential
