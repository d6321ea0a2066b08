// From the text of a template to its statements.
#pragma once

#include <string_view>
#include <vector>

#include "store/base/result.h"
#include "tools/template_ast.h"

namespace veneer::tools {

// Parentheses and blocks may nest this deep; what recurses over a parsed template is bounded by it.
inline constexpr int kMaxTemplateDepth = 200;

// Errors (EINVAL) are Go's, one line: `template: :1: unclosed action`.
Result<std::vector<Statement>> ParseTemplate(std::string_view text);

}  // namespace veneer::tools
