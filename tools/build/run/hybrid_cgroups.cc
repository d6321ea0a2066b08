#include "tools/build/run/hybrid_cgroups.h"

#include <linux/magic.h>
#include <sys/mount.h>
#include <sys/vfs.h>

namespace veneer::build {
namespace {

constexpr const char* kUnified = "/sys/fs/cgroup/unified";

}  // namespace

Result<> HideUnifiedCgroups() {
  struct statfs fs;
  if (statfs(kUnified, &fs) != 0 || fs.f_type != CGROUP2_SUPER_MAGIC) return {};
  // A user namespace may cover what it may not unmount.
  if (mount("veneer", kUnified, "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=4k") !=
      0) {
    return Errno("cover " + std::string(kUnified));
  }
  return {};
}

}  // namespace veneer::build
