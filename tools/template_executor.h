// Runs a parsed template over data.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "store/base/result.h"
#include "tools/template_ast.h"
#include "tools/template_functions.h"

namespace veneer::tools {

// Runs `statements`, parsed from `source`, with `data` as dot, and appends what they print to
// `out`, also before an error. Errors (EINVAL) are Go's: `template: :1:2: executing "" at <.Foo>:
// can't evaluate field Foo`.
//
// A field absent from `data` itself is an error; one absent deeper has no value, as in Go's maps. A
// field that holds an object can be called with a key, as Docker's `.Label "name"`; an absent key
// gives "".
//
// `zeros`: as Template::Execute takes them.
//
// `header` is how Docker makes a table's heading: `data` maps fields to headings, none is required,
// and functions that format give back their first argument.
Result<> ExecuteTemplate(std::string_view source, const std::vector<Statement>& statements,
                         const Json& data, const Json& zeros, bool header, std::string& out);

}  // namespace veneer::tools
