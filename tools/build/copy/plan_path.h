// Paths in a CopyPlan: symlinks followed inside a root, missing directories made.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "store/base/result.h"
#include "tools/build/copy/copy_plan.h"

namespace veneer::build {

// Names from a root directory down, none of them "." or "..".
using PlanPath = std::vector<std::string>;

enum class AboveRoot {
  kStays,    // ".." of the root is the root, as in a chroot
  kRefused,  // is an error: EXDEV
};

// Where `path` leads in `root`: all symlinks are followed, absolute ones from `root`; what is not
// there stands as it is. Errors: "too many links" (ELOOP).
Result<PlanPath> FollowInPlan(CopyPlan& plan, PlanNode& root, std::string_view path,
                              AboveRoot above = AboveRoot::kStays);

// What is at `path`.
Result<PlanKind> LookAt(CopyPlan& plan, PlanNode& root, const PlanPath& path);

// The directory at `path`; it and those above it are made like `made` where they are missing.
// Error: "mkdir /x: not a directory".
Result<PlanNode*> MakeDirectories(CopyPlan& plan, PlanNode& root, const PlanPath& path,
                                  const tree::Attributes& made);

}  // namespace veneer::build
