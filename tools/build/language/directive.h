// Parser directives at the head of a Dockerfile: # syntax=…, # escape=…, # check=….
#pragma once

#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "store/base/result.h"

namespace veneer::build {

struct Directive {
  std::string name;  // lower case: "escape"
  std::string value;
};

// Takes a file's lines one after the other. The first line that is no known directive ends them
// for good: an unknown name, any other comment, an empty line, an instruction.
class DirectiveReader {
 public:
  explicit DirectiveReader(std::string comment = "#") : comment_(std::move(comment)) {}

  // Error (EINVAL): "only one escape parser directive can be used".
  Result<std::optional<Directive>> Read(std::string_view line);

  bool done() const { return done_; }

 private:
  std::string comment_;
  std::set<std::string> seen_;
  bool done_ = false;
};

// The value of a directive of a whole file, up to its first space; nothing if the file has none. A
// byte order mark and a #! line before them do not count.
std::optional<std::string> FindDirective(std::string_view name, std::string_view dockerfile);

}  // namespace veneer::build
