// Flags of `docker build` that scripts pass, and that have no meaning of their own here: what they
// ask for is so anyway, or cannot be had.
#pragma once

#include <CLI/CLI.hpp>

#include "store/base/result.h"
#include "tools/build/build_flags.h"

namespace veneer::build {

// Registers them; but for --call, --help does not show them.
void AddDockerFlags(CLI::App* c, BuildFlags& flags);

// EINVAL, ENOTSUP: one asks for what cannot be had: "--attest is not supported by veneer build".
Result<> CheckDockerFlags(const BuildFlags& flags);

// Whether the file is to be checked, not built: --check, --call=check.
bool WantsCheck(const BuildFlags& flags);

}  // namespace veneer::build
