// Running other programs to their end: git, tar, cp, newuidmap.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "store/base/result.h"

namespace veneer::build {

struct ProgramOptions {
  std::string directory;         // working directory; empty: this process's
  std::vector<std::string> env;  // NAME=value, added to this process's
  std::function<bool()> cancelled = {};
  std::string env_without = {};  // a prefix: variables of ours that begin so are left out
};

// Runs `words` (the program is looked for in PATH) without input, its output thrown away. Errors
// are sentences: "git is not installed", or the program's name and the last line it wrote to
// standard error. ECANCELED.
Result<> RunQuietly(const std::vector<std::string>& words, const ProgramOptions& options = {});

}  // namespace veneer::build
