// Go's fmt.Sprintf, Sprint and Sprintln over JSON values: what {{printf}}, {{print}} and
// {{println}} call.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "tools/go_value.h"

namespace veneer::tools {

// Verbs %v %s %q %d %t %c %U %x %X %o %b %e %E %f %F %g %G %T %%, flags "-+# 0", width, precision,
// `*` and [n]. As in Go, a mismatch is shown in the text (%!d(string=a), %!s(MISSING), %!(EXTRA
// int=3)), never an error.
std::string GoSprintf(std::string_view format, std::span<const Json* const> args);

// A space between two operands when neither is a string.
std::string GoSprint(std::span<const Json* const> args);

// A space between all operands, a newline at the end.
std::string GoSprintln(std::span<const Json* const> args);

}  // namespace veneer::tools
