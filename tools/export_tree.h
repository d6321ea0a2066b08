// Writing a mounted root filesystem as one canonical tar.
#pragma once

#include <string>

#include "store/archive/byte_stream.h"
#include "store/base/result.h"

namespace veneer::tools {

// The tree below `path`, in byte order of names, without crossing into other mounts; hard links
// stay links, sockets are left out. Owners, modes, times (nanoseconds) and extended attributes are
// kept.
Result<> ExportTree(const std::string& path, ByteSink& out);

}  // namespace veneer::tools
