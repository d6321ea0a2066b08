#include "tools/go_template.h"

#include <utility>

#include "tools/template_executor.h"
#include "tools/template_parser.h"

namespace veneer::tools {
namespace {

// Printing a value recurses over it; an image's config may come from anywhere.
constexpr int kMaxDataDepth = 500;

// Docker says this of errors while running, too.
constexpr const char* kErrorPrefix = "template parsing error";

}  // namespace

Result<Template> Template::Parse(std::string_view text) {
  Result<std::vector<Statement>> statements = ParseTemplate(text);
  if (!statements) return std::unexpected(statements.error().Within(kErrorPrefix));
  return Template(std::string(text), std::move(*statements));
}

Result<std::string> Template::Execute(const Json& data, const Json& zeros) const {
  if (DeeperThan(data, kMaxDataDepth))
    return Invalid("the data is nested too deeply to be formatted");
  std::string out;
  const Result<> done = ExecuteTemplate(source_, statements_, data, zeros, false, out);
  if (!done) return std::unexpected(done.error().Within(kErrorPrefix));
  return out;
}

std::string Template::ExecuteHeading(const Json& headings) const {
  std::string out;
  const Result<> done = ExecuteTemplate(source_, statements_, headings, Json(), true, out);
  // An error leaves what was printed before it; the rows will report theirs.
  (void)done;
  return out;
}

}  // namespace veneer::tools
