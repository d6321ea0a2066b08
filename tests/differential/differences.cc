#include "tests/differential/differences.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/stat.h>

namespace veneer::differential {

bool MustFailOnMount(const Model& model, const Op& op) {
  auto reserved = [&](const std::string& path) {
    size_t slash = path.rfind('/');
    std::string_view name = std::string_view(path).substr(slash == path.npos ? 0 : slash + 1);
    return name.starts_with(".wh.");
  };
  switch (op.kind) {
    case OpKind::kOpen: {
      if ((op.flags & O_CREAT) == 0) return false;
      Place place = model.TargetOf(op);
      return !place.node && reserved(place.name);
    }
    case OpKind::kMkdir:
    case OpKind::kSymlink:
    case OpKind::kLinkTmp:
      return reserved(op.path);
    case OpKind::kMknod:
      return reserved(op.path) || (S_ISCHR(op.mode) && op.len == 0);
    case OpKind::kRename:
    case OpKind::kLink:
      return reserved(op.path2);
    case OpKind::kFallocate:
      return (op.flags & (FALLOC_FL_COLLAPSE_RANGE | FALLOC_FL_INSERT_RANGE)) != 0;
    default:
      return false;
  }
}

}  // namespace veneer::differential
