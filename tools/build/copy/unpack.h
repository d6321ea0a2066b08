// Unpacking a local archive for ADD, into a CopyPlan.
#pragma once

#include <cstdint>
#include <optional>

#include "store/base/result.h"
#include "store/base/unique_fd.h"
#include "tools/build/copy/content_spool.h"
#include "tools/build/copy/copy_plan.h"
#include "tools/build/copy/file_owner.h"

namespace veneer::build {

// Whether the content of `fd`, from its start, is a tar with at least one entry: as it is, or
// compressed with gzip, bzip2, xz or zstd.
Result<bool> IsArchive(int fd);

// Unpacks the archive below `destination`. Names are resolved there as in a chroot: nothing lands
// elsewhere, whatever symlinks the archive or the chain has; names and relative symlinks that lead
// out are an error. Entries replace what is there, but a directory a directory. Owners are the
// archive's unless `owner` says otherwise; `now` is the time of directories it does not mention.
// EBADMSG: the archive is damaged.
Result<> UnpackArchive(int fd, CopyPlan& plan, PlanNode& destination, ContentSpool& spool,
                       const std::optional<FileOwner>& owner, int64_t now);

}  // namespace veneer::build
