// The part of Go's text/template that Docker's --format documents, over JSON.
//
// Actions {{ }} with fields, variables, pipelines, parentheses and literals; if, else if, else,
// range (else, break, continue), with, comments, {{- -}}; the functions json, join, split, lower,
// upper, title, pad, truncate, print, printf, println, len, index, slice, eq, ne, lt, le, gt, ge,
// and, or, not. Not {{define}}, {{template}}, {{block}}.
//
// Keys are case-sensitive. A field absent from the data itself is an error; absent further down it
// is "<no value>". A list or map that is null or left out is an empty one for range, len, join and
// index, since Docker's are typed.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "store/base/result.h"
#include "tools/go_value.h"
#include "tools/template_ast.h"

namespace veneer::tools {

// Immutable once parsed, so one Template may run in several threads.
class Template {
 public:
  // Errors (EINVAL) are one line, in Docker's words: `template parsing error: template: :1:
  // unclosed action`.
  static Result<Template> Parse(std::string_view text);

  // What the template prints with `data` as dot. Errors (EINVAL) name the place and the expression,
  // in Docker's words: `template parsing error: template: :1:2: executing "" at <.Foo>: can't
  // evaluate field Foo`.
  //
  // `zeros` names the fields that Go's structs have whatever the data says, with their zero values:
  // [] and {} for empty lists and maps, an object with members for a struct. A field that is null
  // or left out in the data has its zero value, for json null where it is a list or map; a field
  // that a struct does not have is an error.
  Result<std::string> Execute(const Json& data, const Json& zeros = Json()) const;

  // The heading of a table: `headings` maps field names to headings, and json, join, upper and the
  // like pass them through. What cannot be evaluated ends the heading there, without an error, as
  // Docker has it.
  std::string ExecuteHeading(const Json& headings) const;

 private:
  Template(std::string source, std::vector<Statement> statements)
      : source_(std::move(source)), statements_(std::move(statements)) {}

  std::string source_;
  std::vector<Statement> statements_;
};

}  // namespace veneer::tools
