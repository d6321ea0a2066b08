// Images that the local store has, as bases and sources.
#pragma once

#include <optional>
#include <string>

#include "store/store.h"
#include "tools/build/language/stage_graph.h"
#include "tools/context.h"

namespace veneer::build {

// What an image's config says. ENOENT: the store has none with this ID.
Result<BaseImage> ReadBaseImage(Store& store, const ImageId& id);

// The same of a name, if the store is there (it is not made for this) and has it. `name` is
// canonical: docker.io/library/debian:12.
std::optional<BaseImage> FindBaseImage(tools::Context& context, const std::string& name);

}  // namespace veneer::build
