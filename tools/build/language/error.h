// An error in a Dockerfile: a message and the lines it is about.
#pragma once

#include <expected>
#include <string>
#include <utility>
#include <vector>

#include "store/base/result.h"

namespace veneer::build {

// Lines of a file, counted from 1, both included.
struct Lines {
  int first = 0;
  int last = 0;
  bool operator==(const Lines&) const = default;
};

struct DockerfileError {
  std::string message;
  // Places to show, in order; empty if no line is to blame.
  std::vector<Lines> places;

  DockerfileError(std::string what, std::vector<Lines> where)
      : message(std::move(what)), places(std::move(where)) {}
  // An error from something that knows no lines.
  DockerfileError(const Error& error)  // NOLINT(google-explicit-constructor): so that TRY converts
      : message(error.Message()) {}
};

// What reading a Dockerfile gives. TRY passes a Result's error on as one without lines.
template <typename T = void>
using Located = std::expected<T, DockerfileError>;

inline std::unexpected<DockerfileError> At(Lines lines, std::string message) {
  return std::unexpected(DockerfileError(std::move(message), {lines}));
}

// The result, where an error is one about `lines`.
template <typename T>
Located<T> At(Lines lines, Result<T> result) {
  if (!result) return At(lines, result.error().Message());
  if constexpr (std::is_void_v<T>) {
    return {};
  } else {
    return std::move(*result);
  }
}

}  // namespace veneer::build
