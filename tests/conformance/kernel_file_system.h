// The system calls below a directory: of a mount, or of the host's filesystem as the oracle.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "tests/conformance/file_system.h"

namespace veneer::fs::conformance {

// `remount` may be empty: there is nothing to mount.
std::unique_ptr<FileSystem> MakeKernelFileSystem(const std::string& root,
                                                 std::function<Result<>()> remount);

}  // namespace veneer::fs::conformance
