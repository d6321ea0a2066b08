// Coverage: how often each operation met a file in each state, and how often it succeeded.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "tests/differential/model.h"
#include "tests/differential/op.h"

namespace veneer::differential {

// States that overlap: a file may be linked and open at once.
enum class FileState : uint8_t {
  kMissing,    // no such name, or no such descriptor
  kLower,      // untouched
  kMetaOnly,   // attributes or names changed, the data still in the lower
  kUpper,      // of the lower, its data changed
  kNew,        // made in the mount
  kDirectory,  // not a file at all
  kSpecial,    // symlinks, devices, FIFOs, sockets
  kOpenRead,   // somebody has it open for reading only
  kOpenWrite,  // somebody has it open for writing
  kMapped,
  kLinked,    // has several names
  kMovedDir,  // below a renamed directory of the lower, or one
  kNameless,  // no names left
  kCount,
};
inline constexpr size_t kFileStates = static_cast<size_t>(FileState::kCount);

class Coverage {
 public:
  // REQUIRES: before Model::Apply() of the operation.
  static uint32_t StatesOf(const Model& model, const Op& op);  // a bit per state
  void Count(const Op& op, uint32_t states, bool succeeded);

  uint64_t total() const { return total_; }
  uint64_t succeeded() const { return succeeded_; }
  void Add(const Coverage& other);
  std::string Table() const;

 private:
  uint64_t total_ = 0;
  uint64_t succeeded_ = 0;
  struct Row {
    uint64_t total = 0;
    uint64_t succeeded = 0;
    std::array<uint64_t, kFileStates> by_state{};  // successes; kMissing: all
  };
  std::array<Row, kOpKinds> rows_{};
};

}  // namespace veneer::differential
