// The Dockerfile of a build, and the ignore file that goes with it.
#pragma once

#include <optional>
#include <string>

#include "store/base/result.h"

namespace veneer::build {

struct DockerfileFile {
  std::string name;  // as errors call it: the path by which the user would find it
  std::string text;
  bool is_input = false;  // it came from standard input
};

// Reads the Dockerfile `file`: a path, "-" for standard input, or empty for CONTEXT/Dockerfile or,
// where that is missing, CONTEXT/dockerfile. The context is a directory.
//
// Errors: no such file, a named FIFO, "the Dockerfile cannot be empty", more than 16 MiB.
Result<DockerfileFile> ReadDockerfile(const std::string& file, const std::string& context);

// The text of `file`'s own ignore file, else of the context's .dockerignore; empty where there is
// neither.
Result<std::string> ReadIgnoreFile(const DockerfileFile& file, const std::string& context);

}  // namespace veneer::build
