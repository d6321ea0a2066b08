// Adopting an upper that other programs wrote: fuse-overlayfs, the kernel's overlayfs with other
// privileges, containers/storage unpacking a layer into it. What they mean by AUFS names
// (.wh.NAME, .wh..wh..opq) and by markers with another prefix is said in this upper's own form,
// once, before it is first mounted; then a mount need only look for that.
#pragma once

#include "store/base/result.h"

namespace veneer::fs {

class Upper;

// May be repeated after a crash in the middle: each name is turned over on its own, and means the
// same before and after. Directories keep their times.
Result<> AdoptUpper(Upper& upper);

}  // namespace veneer::fs
