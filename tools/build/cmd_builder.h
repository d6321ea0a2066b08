// `veneer builder`: the build cache.
#pragma once

#include <CLI/CLI.hpp>

#include "tools/context.h"

namespace veneer::build {

// Registers the group `builder` with build, du and prune.
void AddBuilderGroup(CLI::App& app, tools::Context& context);

}  // namespace veneer::build
