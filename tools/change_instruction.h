// CHANGE of `commit -c` and `import -c`: Dockerfile instructions that change an image's config.
#pragma once

#include <span>
#include <string>

#include "store/base/result.h"
#include "tools/go_value.h"

namespace veneer::tools {

// Applies the instructions, in order, to `config`, the `config` object of an OCI or Docker image
// config (null is taken as empty): CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, ONBUILD, STOPSIGNAL, USER,
// VOLUME, WORKDIR.
//
// As dockerd reads them: exec (JSON) and shell form; shell form is run by config's Shell, else by
// /bin/sh -c. Quotes, backslashes and $variables of the config's Env are resolved, but for CMD,
// ENTRYPOINT and ONBUILD. ENTRYPOINT drops a Cmd that no CMD among `changes` has set. A relative
// WORKDIR starts at the present one. A change may have several lines, continue one with a
// backslash, and have # comments.
//
// Errors (EINVAL) are Docker's, one line; then `config` is as it was.
Result<> ApplyChanges(std::span<const std::string> changes, Json& config);

}  // namespace veneer::tools
