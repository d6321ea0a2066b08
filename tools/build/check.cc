#include "tools/build/check.h"

#include <fmt/format.h>

#include "tools/build/build_plan.h"
#include "tools/build/language/directive.h"
#include "tools/build/language/source_excerpt.h"

namespace veneer::build {

Result<LintOptions> LintOptionsOf(std::string_view text, const BuildOptions& options) {
  const auto given = options.build_args.find("BUILDKIT_DOCKERFILE_CHECK");
  if (given != options.build_args.end()) return LintOptions::Parse(given->second);
  return LintOptions::Parse(FindDirective("check", text).value_or(""));
}

CheckReport CheckDockerfile(std::string_view text, std::string_view ignore_text,
                            const BuildOptions& options) {
  CheckReport report;
  const Result<LintOptions> lint = LintOptionsOf(text, options);
  if (!lint) {
    report.error = lint.error();
    return report;
  }
  Linter linter(*lint);
  const Located<BuildPlan> done =
      PlanBuild(text, ignore_text, options, options.target.empty(), linter);
  if (!done) report.error = done.error();
  report.warnings = linter.Sorted();
  return report;
}

std::string FormatWarnings(std::string_view filename, std::string_view text,
                           const CheckReport& report) {
  const size_t count = report.warnings.size();
  if (count == 0) return report.error ? "" : "Check complete, no warnings found.\n";
  std::string out = count == 1
                        ? "Check complete, 1 warning has been found!\n"
                        : fmt::format("Check complete, {} warnings have been found!\n", count);
  for (const LintWarning& warning : report.warnings) {
    out += fmt::format("\nWARNING: {}", warning.rule.name);
    if (!warning.rule.page.empty())
      out += fmt::format(" - https://docs.docker.com/go/dockerfile/rule/{}/", warning.rule.page);
    out += "\n" + warning.message + "\n";
    out += SourceExcerpt(filename, text, {&warning.lines, 1});
  }
  return out;
}

}  // namespace veneer::build
