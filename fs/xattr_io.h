// The l*xattr(2) calls as Results. Paths are FdPath() paths, or names that must not be followed.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "store/base/result.h"

namespace veneer::fs {

// Which way a path is resolved: kNoFollow for FdPath(dirfd, name), kMagicLink for FdPath(fd), whose
// last component is a link of procfs that leads to the open inode itself (a symlink opened with
// O_PATH included).
enum class XattrPath { kNoFollow, kMagicLink };

// ENODATA where there is none.
Result<std::string> GetXattr(const std::string& path, const std::string& name, XattrPath how);
// nullopt where there is none, or the filesystem has no extended attributes.
Result<std::optional<std::string>> FindXattr(const std::string& path, const std::string& name,
                                             XattrPath how);
// Stored names, unsorted; empty where the filesystem has no extended attributes.
Result<std::vector<std::string>> ListXattr(const std::string& path, XattrPath how);
Result<> SetXattr(const std::string& path, const std::string& name, std::string_view value,
                  int flags, XattrPath how);
Result<> RemoveXattr(const std::string& path, const std::string& name, XattrPath how);
// Calls `change`, and puts the attribute back if it took that away.
Result<> KeepingXattr(const std::string& path, const std::string& name, XattrPath how,
                      const std::function<Result<>()>& change);

}  // namespace veneer::fs
