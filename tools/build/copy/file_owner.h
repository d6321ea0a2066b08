// --chown: who is to own what is copied.
#pragma once

#include <cstdint>
#include <string_view>

#include "store/base/result.h"
#include "tools/build/copy/source_tree.h"

namespace veneer::build {

struct FileOwner {
  uint32_t uid = 0;
  uint32_t gid = 0;
};

// "user", "user:group", ":group", names or numbers. Names are looked up in `image`'s /etc/passwd
// and /etc/group; as with BuildKit, a name that is not there is root. A user alone brings its
// group; a number alone is both. Error: "invalid user index: -1" where a name is given and `image`
// is null.
Result<FileOwner> ResolveOwner(std::string_view chown, const SourceTree* image);

}  // namespace veneer::build
