// SourceTrees of a single file: a heredoc, or a file that ADD fetched.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "store/base/result.h"
#include "tools/build/copy/source_tree.h"

namespace veneer::build {

// A file called `name` with this content, mode 0644, without a time. EINVAL: no name of a file.
Result<std::unique_ptr<SourceTree>> MakeContentSource(const std::string& name,
                                                      std::string_view content);

// The file at `path` of the host under another name, with mode 0600 and `mtime`, or 0.
Result<std::unique_ptr<SourceTree>> OpenFileSource(const std::string& name, const std::string& path,
                                                   std::optional<int64_t> mtime);

}  // namespace veneer::build
