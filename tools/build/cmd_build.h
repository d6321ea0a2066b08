// `veneer build`.
#pragma once

#include <CLI/CLI.hpp>

#include "tools/context.h"

namespace veneer::build {

// Registers the command under `parent`: the program, or its group `image`.
void AddBuild(CLI::App& parent, tools::Context& context);

}  // namespace veneer::build
