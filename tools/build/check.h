// A whole Dockerfile, looked through without building: `build --check`, and what building starts
// from.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tools/build/language/error.h"
#include "tools/build/language/linter.h"
#include "tools/build/language/stage_graph.h"

namespace veneer::build {

struct CheckReport {
  std::vector<LintWarning> warnings;  // by line
  std::optional<DockerfileError> error;
};

// Reads `text` and goes through all stages, or those the target needs. `ignore_text` is the ignore
// file of the context.
CheckReport CheckDockerfile(std::string_view text, std::string_view ignore_text,
                            const BuildOptions& options);

// What warnings to leave out and which are errors: of the build argument BUILDKIT_DOCKERFILE_CHECK
// where that is given, else of the file's `# check=`.
Result<LintOptions> LintOptionsOf(std::string_view text, const BuildOptions& options);

// What `docker build --check` prints on standard output.
std::string FormatWarnings(std::string_view filename, std::string_view text,
                           const CheckReport& report);

}  // namespace veneer::build
