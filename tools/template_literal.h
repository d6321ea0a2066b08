// Literals of the template language: Go's numbers, characters, "interpreted" and `raw` strings,
// true and false.
#pragma once

#include "store/base/result.h"
#include "tools/go_value.h"
#include "tools/template_lexer.h"

namespace veneer::tools {

// The value of a literal token. Errors (EINVAL) are Go's words: `bad number syntax: "1__0"`,
// `invalid syntax`. REQUIRES: kBool, kNumber, kCharConstant, kString or kRawString.
Result<Json> ParseLiteral(const Token& token);

}  // namespace veneer::tools
