// One build, from the command line's flags to what it puts out.
#pragma once

#include <string>

#include "tools/build/build_flags.h"

namespace veneer::build {

// Builds, says what happens, and gives the exit status. REQUIRES: it runs isolated (isolation.h).
// `root`: of the store; empty: the default one.
int RunBuild(const BuildFlags& flags, const std::string& root);

}  // namespace veneer::build
