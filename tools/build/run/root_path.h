// Paths of a root filesystem that untrusted programs made: nothing leads out of it.
//
// Symlinks, absolute ones too, are followed inside the root, as in a chroot. The descriptor of the
// root may be O_PATH.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "store/base/result.h"
#include "store/base/unique_fd.h"

namespace veneer::build {

// openat2(2) with RESOLVE_IN_ROOT: `path` as a process with this root would open it.
Result<UniqueFd> OpenInRoot(int root_fd, const std::string& path, int flags);

// The whole of a regular file; ENOENT where there is none, EINVAL if it is something else, EFBIG
// beyond `limit` bytes.
Result<std::string> ReadFileInRoot(int root_fd, const std::string& path, size_t limit);

struct RootPath {
  std::string path;     // relative to the root, without symlinks, "." and ".."; empty: the root
  bool exists = false;  // as anything
};

// What `path` leads to, though some of it may be missing (that part is taken as it is written).
// Where `covered` (may be empty) says that something will be mounted on a directory on the way, the
// rest is what it is in there: it is taken as written, too. Errors: ELOOP, ENAMETOOLONG, …
Result<RootPath> ResolveInRoot(int root_fd, std::string_view path,
                               const std::function<bool(const std::string&)>& covered = nullptr);

// The directory that holds `path`, and its name there. REQUIRES: `path`, of ResolveInRoot, is not
// the root.
std::string_view DirectoryOf(std::string_view path);
std::string_view NameOf(std::string_view path);

// The directory that holds `path`, opened (O_PATH) without following any symlink.
Result<UniqueFd> OpenDirectoryOf(int root_fd, const std::string& path);

}  // namespace veneer::build
