// What ADD and COPY may say, beyond their syntax.
#pragma once

#include <string>
#include <string_view>

#include "store/base/result.h"
#include "tools/build/language/instruction.h"

namespace veneer::build {

// http://… or https://….
bool IsHttpSource(std::string_view source);

// A git repository: git://…, ssh://…, user@host:path, or http(s)://….git (then with #ref or
// ?query).
bool IsGitSource(std::string_view source);

// Whether --chmod is a mode: octal up to 07777, or symbolic as chmod(1) takes it ("u=rwX,go+r").
// Errors (EINVAL) are BuildKit's: "invalid chmod parameter: 'x'. it should be octal string and
// between 0 and 07777", "invalid syntax".
Result<> CheckChmod(std::string_view mode);

// REQUIRES: variables are expanded. Errors (EINVAL) are BuildKit's: "source can't be a URL for
// COPY", "checksum requires HTTP(S) or Git sources", …
Result<> CheckAdd(const AddInstruction& add);
Result<> CheckCopy(const CopyInstruction& copy);

}  // namespace veneer::build
