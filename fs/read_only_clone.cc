#include "fs/read_only_clone.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "fs/log.h"
#include "store/base/beneath.h"

namespace veneer::fs {

Result<UniqueFd> OpenReadOnlyClone(const std::string& path, int flags) {
  TRY_ASSIGN(UniqueFd plain, OpenAt(AT_FDCWD, path, flags | O_DIRECTORY));
  UniqueFd clone(open_tree(plain.get(), "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH));
  struct mount_attr read_only = {};
  read_only.attr_set = MOUNT_ATTR_RDONLY;
  read_only.propagation = MS_PRIVATE;
  if (!clone || mount_setattr(clone.get(), "", AT_EMPTY_PATH, &read_only, sizeof read_only) != 0) {
    Log(LogLevel::kDebug, "{}: no read-only clone of its mount: {}", path, strerror(errno));
    return plain;
  }
  auto fd = OpenAt(clone.get(), ".", flags | O_DIRECTORY);
  if (!fd) return plain;
  return fd;
}

}  // namespace veneer::fs
