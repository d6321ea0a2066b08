// Rows as Docker's listing commands print them: aligned tables, a template per row, JSON lines, IDs
// alone.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "store/base/result.h"
#include "tools/go_value.h"

namespace veneer::tools {

// What -q prints: pass it as the default template. A --format of the user's own wins over -q, as in
// Docker.
inline constexpr std::string_view kQuietTemplate = "{{.ID}}";

// Formats `rows` by `format`, the value of --format:
//   "" or "table"     `default_template`: "table {{.ID}}\t{{.Size}}", or one without "table" for
//   plain lines "table TEMPLATE"  a heading, and columns at least 10 wide and 3 spaces apart, split
//   at tabs "json"            each row as one line of JSON, its keys sorted, without the members
//   that hold objects TEMPLATE          each row as the template prints it, and a newline
// `\t` and `\n` in a format may be written as two characters each, as shells pass them.
//
// `headings` maps the fields rows have to headings ("CreatedSince": "CREATED"). A row's members are
// strings for Docker's formats to fit; one that holds an object is there to be called with a key:
// {{.Label "name"}}. Errors (EINVAL) are those of Template; nothing is printed in part.
Result<std::string> FormatRows(std::string_view format, std::string_view default_template,
                               const Json& headings, const std::vector<Json>& rows,
                               bool no_headings = false);

// Go's text/tabwriter (min width 10, padding 3, spaces): each cell that a tab ends is as wide as
// the widest of its column, a column being the run of lines that have it.
std::string AlignColumns(std::string_view text);

}  // namespace veneer::tools
