// Writing a chain's files into a directory of the host: --output type=local.
//
// As BuildKit's client: files belong to whoever runs this; modes, times, hard links and extended
// attributes are the image's; devices are left out where the host does not let us make them.
// The directory is added to: a file replaces what has its name, a directory keeps what is in it,
// and anything else in a directory's place is removed. No symlink in it is followed, those of the
// image neither, so nothing outside of it is written to, whatever the image holds.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "store/base/result.h"
#include "store/store.h"
#include "store/tree/merged_tree.h"

namespace veneer::build {

// `directory` is made where missing, 0700. Each file appears whole or not at all. Errors name the
// path below the directory.
Result<> WriteLocalOutput(Store& store, const tree::MergedTree& tree,
                          std::optional<int64_t> latest_mtime, const std::string& directory);

}  // namespace veneer::build
