// The engine in process: fs::Overlay with what the kernel would do above it (walking paths, holding
// nodes while files are open, telling when setuid is to be cleared), and nothing else: no caches,
// no permission checks.
#pragma once

#include <memory>
#include <string>

#include "tests/conformance/file_system.h"

namespace veneer::fs::conformance {

// `mount_options` as veneerfs' -o.
Result<std::unique_ptr<FileSystem>> MakeEngineFileSystem(const std::string& mount_options);

}  // namespace veneer::fs::conformance
