// BackEnd: what a case of the suite runs against, and how each differs from a local filesystem.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/fs/work_dir.h"

namespace veneer::fs::conformance {

struct BackEnd {
  const char* name;
  testing::Kind kind;
  bool in_process;                     // the engine without a kernel above it
  const char* options = "";            // further mount options
  std::vector<std::string> arguments;  // further arguments of veneerfs
};

// The oracle, the engine in process over each lower, a mount of each lower.
std::vector<BackEnd> EachBackEnd();
// Those with a kernel above them.
std::vector<BackEnd> EachKernel();
// The mounts again, with what can be switched off switched off.
std::vector<BackEnd> FurtherModes();
std::string BackEndName(const ::testing::TestParamInfo<BackEnd>& info);
void PrintTo(const BackEnd& back_end, std::ostream* out);

// The differences to a local filesystem: all that a case may make an exception for. Each is
// explained in docs/conformance.md "Differences".
enum class Difference {
  kNamesOfTheFormat,     // names ".wh.*" and devices 0/0 cannot be made
  kMergedLinkCount,      // a directory merged from several plain layers shows one link
  kStoreTimes,           // atime and ctime of a store's files are their mtime
  kNoRangeShifting,      // FUSE has no FALLOC_FL_COLLAPSE_RANGE and FALLOC_FL_INSERT_RANGE
  kNoWhiteoutsByRename,  // RENAME_WHITEOUT is refused
};
bool Differs(const BackEnd& back_end, Difference difference);

}  // namespace veneer::fs::conformance
