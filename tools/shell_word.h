// Word expansion of Dockerfile instructions: quotes, backslashes and $variables, without running
// anything.
//
// Follows BuildKit's shell lexer: '…' keeps everything, "…" and bare text expand $name, ${name},
// ${name:-word},
// ${name:+word}, ${name:?word} (and without the colon, for unset only). A backslash takes the next
// character as it is.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "store/base/result.h"

namespace veneer::tools {

// `env` holds NAME=value strings; of two with one name, the first counts.
// Errors (EINVAL): `failed to process "${b": syntax error: missing '}'`.
Result<std::string> ExpandWord(std::string_view word, const std::vector<std::string>& env);

// As ExpandWord, split at white space that is neither quoted nor escaped; what variables bring is
// split, too.
Result<std::vector<std::string>> ExpandWords(std::string_view word,
                                             const std::vector<std::string>& env);

}  // namespace veneer::tools
