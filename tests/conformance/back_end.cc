#include "tests/conformance/back_end.h"

#include <ostream>

namespace veneer::fs::conformance {

using testing::Kind;

namespace {

std::vector<BackEnd> Kernels() {
  return {{.name = "Plain", .kind = Kind::kPlain, .in_process = false, .arguments = {}},
          {.name = "MountStack", .kind = Kind::kStack, .in_process = false, .arguments = {}},
          {.name = "MountChain", .kind = Kind::kChain, .in_process = false, .arguments = {}}};
}

}  // namespace

std::vector<BackEnd> EachKernel() { return Kernels(); }

std::vector<BackEnd> EachBackEnd() {
  std::vector<BackEnd> all = Kernels();
  all.push_back({.name = "EngineStack", .kind = Kind::kStack, .in_process = true, .arguments = {}});
  all.push_back({.name = "EngineChain", .kind = Kind::kChain, .in_process = true, .arguments = {}});
  return all;
}

std::vector<BackEnd> FurtherModes() {
  return {{.name = "MountStackCached",
           .kind = Kind::kStack,
           .in_process = false,
           .arguments = {"--no-passthrough"}},
          {.name = "MountChainCached",
           .kind = Kind::kChain,
           .in_process = false,
           .arguments = {"--no-passthrough"}},
          {.name = "MountStackNoUring",
           .kind = Kind::kStack,
           .in_process = false,
           .arguments = {"--no-uring"}},
          {.name = "MountChainNoUring",
           .kind = Kind::kChain,
           .in_process = false,
           .arguments = {"--no-uring"}},
          {.name = "MountStackMetacopy",
           .kind = Kind::kStack,
           .in_process = false,
           .options = "metacopy=on",
           .arguments = {}},
          {.name = "MountStackVolatile",
           .kind = Kind::kStack,
           .in_process = false,
           .options = "volatile",
           .arguments = {}},
          {.name = "MountChainVolatile",
           .kind = Kind::kChain,
           .in_process = false,
           .options = "volatile",
           .arguments = {}}};
}

std::string BackEndName(const ::testing::TestParamInfo<BackEnd>& info) { return info.param.name; }

void PrintTo(const BackEnd& back_end, std::ostream* out) { *out << back_end.name; }

bool Differs(const BackEnd& back_end, Difference difference) {
  if (back_end.kind == Kind::kPlain) return false;
  switch (difference) {
    case Difference::kNamesOfTheFormat:
    case Difference::kNoWhiteoutsByRename:
      return true;
    case Difference::kMergedLinkCount:
      return back_end.kind == Kind::kStack;
    case Difference::kStoreTimes:
      return back_end.kind == Kind::kChain;
    case Difference::kNoRangeShifting:
      return !back_end.in_process;
  }
  return false;
}

}  // namespace veneer::fs::conformance
