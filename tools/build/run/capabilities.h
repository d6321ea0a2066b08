// The capabilities of a step's command (capabilities(7)).
#pragma once

#include <string>
#include <vector>

namespace veneer::build {

// The 14 that Docker gives containers, in the order of their numbers.
const std::vector<std::string>& DefaultCapabilities();

// All that we may give on: what is in our bounding set, and has a name.
std::vector<std::string> AllCapabilities();

}  // namespace veneer::build
