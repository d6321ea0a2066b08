// Base images that the local store has.
#pragma once

#include <optional>
#include <string>

#include "tools/build/stage_graph.h"
#include "tools/context.h"

namespace veneer::build {

// What the config of an image says, if the store is there (it is not made for this) and has it.
// `name` is canonical: docker.io/library/debian:12.
std::optional<BaseImage> FindBaseImage(tools::Context& context, const std::string& name);

}  // namespace veneer::build
