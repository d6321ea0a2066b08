#include "fs/open_overlay.h"

#include <utility>

#include "fs/dir_stack_lower.h"
#include "fs/overlap.h"
#include "fs/tree_lower.h"

namespace veneer::fs {

Result<std::unique_ptr<Overlay>> OpenOverlay(const Options& options) {
  Overlay::Parts parts;
  parts.cache = std::make_unique<FdCache>(FdCache::DefaultCapacity());
  if (options.chain.empty()) {
    TRY_ASSIGN(parts.lower, DirStackLower::Open(options.lowerdirs, parts.cache.get()));
  } else {
    TRY_ASSIGN(parts.lower, TreeLower::Open(options.chain, options.objects));
  }
  parts.ownership = Ownership(options.ownership);
  parts.behaviour = options.behaviour;
  // Stubs of a directory stack find their data by redirects.
  bool chain = !options.chain.empty();
  parts.behaviour.metacopy =
      chain || (options.behaviour.metacopy && options.behaviour.write_redirects);
  if (!options.upperdir.empty()) {
    TRY(RefuseOverlap(options.upperdir, options.workdir, options.lowerdirs));
    Upper::Options upper;
    upper.upperdir = options.upperdir;
    upper.workdir = options.workdir;
    upper.identity = parts.lower->Identity();
    upper.is_volatile = options.is_volatile;
    upper.stat_override = options.stat_override;
    TRY_ASSIGN(parts.upper, Upper::Open(upper));
    // ACLs would need the host's idea of owners.
    if (parts.upper->stat_override().active()) parts.behaviour.acl = false;
  }
  return Overlay::Create(std::move(parts));
}

}  // namespace veneer::fs
