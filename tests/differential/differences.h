// The documented differences between a mount and a local filesystem (docs/filesystem.md):
// operations that must fail on a mount, and are not done on the plain side.
#pragma once

#include <array>
#include <string_view>

#include "tests/differential/model.h"
#include "tests/differential/op.h"

namespace veneer::differential {

bool MustFailOnMount(const Model& model, const Op& op);

// The whole list, of these and of what Comparison lets pass, for people.
inline constexpr std::array<std::string_view, 8> kDifferences = {
    "names that start with .wh. cannot be made",
    "character devices 0/0 cannot be made",
    "fallocate knows no COLLAPSE_RANGE and INSERT_RANGE",
    "a merged directory of a directory stack may have a link count of 1",
    "times of a file after a mapping, and of a FIFO or device after data, went through it",
    "security.capability of a file may be gone when a mapping has written the file",
    "flock and open-file-description locks end with the descriptor, though a mapping goes on",
    "where SEEK_DATA and SEEK_HOLE find data is the host's choice; what they pass over is zeros",
};

}  // namespace veneer::differential
