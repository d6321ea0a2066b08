// What a source of COPY or ADD names: a path, or a pattern of Go's, in a SourceTree.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "store/base/result.h"
#include "tools/build/copy/source_tree.h"

namespace veneer::build {

// `path`, clean and relative, from a source as it stands: from the root, whatever "/" and ".." it
// begins with.
std::string SourcePath(std::string_view source);

// The path of what `path` leads to: symlinks are followed inside the tree, the last one too.
// ENOENT; ELOOP: "too many links".
Result<std::string> FollowLinks(const SourceTree& tree, std::string_view path);

struct SourceMatch {
  std::string name;      // the last part of the path that matched; empty: the root
  std::string relative;  // the path that matched, from where the wildcards begin
  std::string path;      // in the tree, symlinks followed
};

// All that `source` (see SourcePath) matches, in order of the names; what matched a directory is
// not searched. Wildcards may match nothing. Errors: "\"/x\": not found" for a path that leads
// nowhere, "syntax error in pattern".
Result<std::vector<SourceMatch>> MatchSource(const SourceTree& tree, const std::string& source);

// The same of a name that is no pattern, whatever is in it.
Result<std::vector<SourceMatch>> NamedSource(const SourceTree& tree, const std::string& source);

// The error for a source that is not there.
std::unexpected<Error> SourceNotFound(std::string_view path);

}  // namespace veneer::build
