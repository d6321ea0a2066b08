// The Dockerfile of a build, and the ignore file that goes with it.
#pragma once

#include <optional>
#include <string>

#include "store/base/result.h"

namespace veneer::build {

struct DockerfileFile {
  std::string name;  // as errors call it: the path by which the user would find it
  std::string text;
  std::string ignore_text;  // of <Dockerfile>.dockerignore, else of the context's .dockerignore
};

// Reads the Dockerfile `file`: a path, "-" for standard input, or empty for CONTEXT/Dockerfile or,
// where that is missing, CONTEXT/dockerfile. A context of "-" is a Dockerfile on standard input
// without any context.
//
// Errors: no such file, "the Dockerfile cannot be empty", more than 16 MiB, a context that is a URL
// or an archive (which only building would need).
Result<DockerfileFile> ReadDockerfile(const std::string& file, const std::string& context);

}  // namespace veneer::build
