// What the command line says about a build's variables, platform and surroundings.
#pragma once

#include "store/base/result.h"
#include "tools/build/build_flags.h"
#include "tools/build/build_session.h"
#include "tools/build/language/stage_graph.h"

namespace veneer::build {

// All but the functions that look for images.
Result<BuildOptions> ReadBuildOptions(const BuildFlags& flags);

// BUILDKIT_CONTEXT_KEEP_GIT_DIR: a context that is a git repository keeps its .git.
bool KeepsGitDir(const BuildOptions& options);

// All but contexts and agents. Reads the secrets.
Result<BuildSettings> ReadSettings(const BuildFlags& flags, const BuildOptions& options);

}  // namespace veneer::build
