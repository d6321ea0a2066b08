// A seccomp profile as the program that the kernel runs (BPF).
//
// A runtime makes it anew for each container, which takes several times as long as all the rest
// that it does. crun takes one that is ready (its annotation run.oci.seccomp_bpf_data).
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "store/base/result.h"

namespace veneer::build {

// The filter for `profile` (seccomp_profile.h), as seccomp(2) takes it: made by the library that
// runtimes use, libseccomp, if it is on this host. It means what crun makes of the profile. Errors:
// ENOTSUP: there is no such library, or it cannot do this.
Result<std::string> CompileSeccomp(const nlohmann::ordered_json& profile);

}  // namespace veneer::build
