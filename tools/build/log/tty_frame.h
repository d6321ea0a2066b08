// The picture that a build shows on a terminal: one line for the whole, one for each vertex, and
// below those that run the last lines they printed.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tools/build/log/vertex_log.h"

namespace veneer::build {

struct FrameOptions {
  int columns = 80;
  int rows = 24;
  bool colours = true;
  LogTime began{};  // the build
  LogTime now{};
  // The last picture: all vertexes, however many rows there are, and "FINISHED" if they have ended.
  bool last = false;
};

// The lines of the picture, without line ends, at most `rows` - 1 of them but for the last picture.
// None is wider than `columns` - 1: writing in the last column wraps on some terminals.
std::vector<std::string> FrameLines(std::span<const VertexRecord> vertexes,
                                    const FrameOptions& options);

// What of `text` fits in `columns`, as valid UTF-8 without control characters.
std::string FitColumns(std::string_view text, int columns);

}  // namespace veneer::build
