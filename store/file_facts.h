// What a file on the host is, in the terms of trees: attributes, extended attributes, link target.
#pragma once

#include <sys/stat.h>

#include <string>
#include <vector>

#include "store/base/result.h"
#include "store/tree/types.h"

namespace veneer {

tree::Attributes AttributesOf(const struct stat& st);

// All extended attributes of `name` in directory `dirfd` ("" for the directory itself), as stored,
// in no order. A filesystem without them has none.
Result<std::vector<tree::Xattr>> StoredXattrs(int dirfd, const std::string& name);
Result<std::vector<tree::Xattr>> StoredXattrs(int fd);  // of an open file

Result<std::string> ReadLinkAt(int dirfd, const std::string& name);  // readlinkat(2)

}  // namespace veneer
