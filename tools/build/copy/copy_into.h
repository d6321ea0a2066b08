// The rules by which a source lands at a destination: those of BuildKit's file operations.
//
// Directories that are there keep their own attributes at the destination itself, which only takes
// the source's modification time; further down they take those of the source. A file replaces what
// is no directory; a directory replaces nothing.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "store/base/result.h"
#include "tools/build/copy/copied_source.h"
#include "tools/build/copy/copy_plan.h"
#include "tools/build/copy/file_owner.h"
#include "tools/build/copy/mode_change.h"

namespace veneer::build {

struct CopyRules {
  std::string destination;  // absolute; a "/" or "/." at its end says that it is a directory
  std::optional<FileOwner> owner;
  std::optional<ModeChange> mode;
  int64_t now = 0;  // modification time of what is made on the way
};

// What a directory is like that is made on the way to the destination.
tree::Attributes DirectoryOnTheWay(const CopyRules& rules, bool with_mode);

// Puts `source` into the plan; `contents` has the contents of its entries, by their index. Errors
// are BuildKit's: "cannot copy to non-directory: /x", "cannot replace to directory /x with file",
// "mkdir /x: not a directory".
Result<> CopyInto(CopyPlan& plan, const CopiedSource& source, PlanContents& contents,
                  const CopyRules& rules);

}  // namespace veneer::build
