#include "store/upper_root.h"

#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "store/markers.h"

namespace veneer {

Result<> CopyRootAttributes(const tree::MergedTree& chain, int upper) {
  TRY_ASSIGN(tree::Inode root, chain.Get(tree::kRootIno));
  TRY_ASSIGN(auto xattrs, chain.Xattrs(tree::kRootIno));
  // An unprivileged store keeps what it may: the mount shows such a root as its own.
  bool owner = geteuid() == 0;
  if (owner && fchown(upper, root.attr.uid, root.attr.gid) != 0) return Errno("chown upper");
  if (fchmod(upper, root.attr.mode & 07777) != 0) return Errno("chmod upper");
  for (const tree::Xattr& x : xattrs) {
    // As the mount would store it: an image's own "trusted.overlay.opaque" is no marker of ours.
    std::string name = markers::StoredXattrName(x.name);
    if (fsetxattr(upper, name.c_str(), x.value.data(), x.value.size(), 0) != 0 && owner &&
        errno != ENOTSUP) {
      return Errno("setxattr " + x.name);
    }
  }
  timespec times[2] = {{0, UTIME_OMIT}, {root.attr.mtime_sec, root.attr.mtime_nsec}};
  if (futimens(upper, times) != 0) return Errno("set times of upper");
  return {};
}

}  // namespace veneer
