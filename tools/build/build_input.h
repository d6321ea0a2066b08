// What a build is given: its context, its Dockerfile, and the ignore file.
#pragma once

#include <functional>
#include <string>

#include "store/base/result.h"
#include "tools/build/dockerfile_file.h"

namespace veneer::build {

struct BuildInput {
  DockerfileFile dockerfile;
  std::string ignore_text;
  std::string directory;  // the context, absolute; empty: there is none
};

// `context`: a directory; "-" for an archive or a Dockerfile on standard input; a git repository
// or the URL of an archive or a Dockerfile. `file`: as ReadDockerfile takes it; of a context that
// is no directory of this host, a path in it. What has to be brought here goes to `scratch`, an
// empty directory that the caller removes. `keep_git_dir`: a repository whose URL does not say
// keeps its .git. Errors are sentences; ECANCELED.
Result<BuildInput> OpenBuildInput(const std::string& file, const std::string& context,
                                  const std::string& scratch, bool keep_git_dir,
                                  const std::function<bool()>& cancelled);

// Whether `context` is no directory of this host: it needs `scratch`.
bool IsElsewhere(const std::string& context);

}  // namespace veneer::build
