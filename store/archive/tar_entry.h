// What libarchive read of one entry, together with what TarFramer saw of the same one, as a
// TarEntry.
//
// The names, the mode, the time and the ACLs come from the raw headers: libarchive folds an ACL's
// base entries into the mode and reads fractions of times before 1970 forwards.
#pragma once

#include <archive_entry.h>

#include "store/archive/layer_tar.h"
#include "store/archive/tar_framer.h"
#include "store/base/result.h"

namespace veneer {

// EBADMSG when the two disagree on the entry's name, link, type or size, or when a value does not
// fit.
Result<TarEntry> MakeTarEntry(archive_entry* entry, const TarFrame& frame);

}  // namespace veneer
