// The seccomp section of an OCI runtime's config.json (runtime-spec 1.0, "Seccomp").
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace veneer::build {

// Docker's default profile for programs with these capabilities on a machine (as uname -m says).
nlohmann::ordered_json SeccompProfile(std::string_view machine,
                                      const std::vector<std::string>& capabilities);

// The one for DefaultCapabilities on this machine. Made once; threads may share it.
const nlohmann::ordered_json& DefaultSeccompProfile();

}  // namespace veneer::build
