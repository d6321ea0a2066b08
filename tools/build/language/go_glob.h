// Go's filepath.Match: the wildcards of COPY and ADD sources.
#pragma once

#include <string_view>

#include "store/base/result.h"

namespace veneer::build {

// Whether the whole `path` matches: * and ? stand for anything but "/", [a-z] and [^a-z] for one
// character, a backslash makes the next one plain. Needs no more than the product of both lengths.
// Error (EINVAL): "syntax error in pattern", whether or not the path matches so far.
Result<bool> GlobMatch(std::string_view pattern, std::string_view path);

// Whether a source has wildcards at all: one of * ? [ that no backslash precedes.
bool HasWildcards(std::string_view source);

}  // namespace veneer::build
