// One line of CSV: how BuildKit's options are written that have keys and values: --mount, --output,
// --cache-to.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "store/base/result.h"

namespace veneer::build {

// The fields of one line (RFC 4180, as Go reads it): quotes around a field keep commas, two of them
// in it are one. Errors (EINVAL) are Go's: `parse error on line 1, column 3: bare " in
// non-quoted-field`; "EOF" for the empty line.
Result<std::vector<std::string>> CsvFields(std::string_view line);

}  // namespace veneer::build
