// Where an error or a warning is, as BuildKit shows it: the file, the line, and the lines around.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "tools/build/language/error.h"

namespace veneer::build {

// "Dockerfile:2", a rule, the lines with >>> before those in question and a few around them, a
// rule. Empty if the lines are not in the file.
std::string SourceExcerpt(std::string_view filename, std::string_view text,
                          std::span<const Lines> places);

// One excerpt per place of the error, in order.
std::string ErrorExcerpts(std::string_view filename, std::string_view text,
                          const DockerfileError& error);

}  // namespace veneer::build
