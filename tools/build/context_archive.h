// A build context that comes as an archive: tar, in any usual compression.
#pragma once

#include <string>
#include <string_view>

#include "store/base/result.h"

namespace veneer::build {

// Whether a file that begins with `head` (1024 bytes of it, or all) is an archive or compressed.
bool LooksLikeArchive(std::string_view head);

// Unpacks the archive whose first bytes are `head` and whose others come from `fd` into
// `directory`, an absolute path without symlinks. Owners are not kept. Nothing is written outside:
// names with ".." and names through symlinks are errors. EBADMSG: damaged.
Result<> UnpackContext(std::string_view head, int fd, const std::string& directory);

}  // namespace veneer::build
