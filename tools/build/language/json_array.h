// JSON arrays of strings, as Go reads them: the exec form of RUN, CMD and others.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "store/base/result.h"

namespace veneer::build {

// ["a", "b"]; nothing if `text` is not a JSON array from its first to its last byte (then the
// arguments are in shell form). Error (EINVAL): the array holds something other than strings.
//
// As encoding/json, bad UTF-8 and half surrogate pairs are U+FFFD.
Result<std::optional<std::vector<std::string>>> ParseJsonArray(std::string_view text);

}  // namespace veneer::build
