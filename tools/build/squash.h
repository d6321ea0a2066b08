// --squash: one layer in place of all that a build has made.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "store/base/digest.h"
#include "store/base/result.h"
#include "store/store.h"

namespace veneer::build {

// The first `base_layers` of `layers`, and one layer that makes of them what all of `layers` are:
// new, published for the image that comes. Two layers above the base at least, or nothing happens.
Result<std::vector<DiffId>> Squash(Store& store, std::span<const DiffId> layers, size_t base_layers,
                                   std::optional<int64_t> latest_mtime);

// `config` for `layers`: the history says that only the last of the build's own steps made a layer.
Result<std::string> SquashedConfig(const std::string& config, std::span<const DiffId> layers,
                                   size_t base_layers);

}  // namespace veneer::build
