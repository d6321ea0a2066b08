#include "tools/build/check.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "tools/build/directive.h"
#include "tools/build/ignore_file.h"
#include "tools/build/parser.h"
#include "tools/build/source_excerpt.h"
#include "tools/build/stage_expander.h"
#include "tools/build/text.h"
#include "tools/go_value.h"

namespace veneer::build {
namespace {

void CheckStageNames(const Dockerfile& file, Linter& linter) {
  std::set<std::string> seen;
  for (const Stage& stage : file.stages) {
    if (stage.name.empty()) continue;
    if (stage.name == "scratch" || stage.name == "context") {
      linter.Warn(rules::kReservedStageName, stage.lines,
                  "Stage name should not use the same name as reserved stage " +
                      tools::GoQuote(stage.name));
    }
    if (!seen.insert(stage.name).second) {
      linter.Warn(rules::kDuplicateStageName, stage.lines,
                  fmt::format("Duplicate stage name {}, stage names should be unique",
                              tools::GoQuote(stage.name)));
    }
  }
}

// All keywords in the case that most of them have; upper case where it is a draw. Global ARGs do
// not count.
void CheckCasing(const Dockerfile& file, Linter& linter) {
  std::vector<std::pair<const std::string*, Lines>> keywords;
  for (const Stage& stage : file.stages) {
    keywords.emplace_back(&stage.keyword, stage.lines);
    for (const Instruction& instruction : stage.instructions)
      keywords.emplace_back(&instruction.name, instruction.lines);
  }
  const auto count = [&](auto convert) {
    return std::ranges::count_if(
        keywords, [&](const auto& keyword) { return *keyword.first == convert(*keyword.first); });
  };
  const bool lower = count(ToLower) > count(ToUpper);
  for (const auto& [keyword, lines] : keywords) {
    if (*keyword == (lower ? ToLower(*keyword) : ToUpper(*keyword))) continue;
    linter.Warn(rules::kConsistentInstructionCasing, lines,
                fmt::format("Command '{}' should match the case of the command majority ({})",
                            *keyword, lower ? "lowercase" : "uppercase"));
  }
}

Located<> CheckSources(const StageGraph& graph, size_t index, const StageStep& step) {
  for (size_t i = 0; i < step.sources.size(); ++i) {
    const StageSource& source = step.sources[i];
    if (source.kind != StageSource::Kind::kStage || source.stage < index) continue;
    if (const auto* run = std::get_if<RunInstruction>(&step.instruction.body)) {
      return At(
          step.instruction.lines,
          fmt::format("cannot mount from stage {} to {}, stage needs to be defined before "
                      "current command",
                      tools::GoQuote(source.name), tools::GoQuote(run->expanded_mounts[i].target)));
    }
    return At(
        step.instruction.lines,
        fmt::format("cannot copy from stage {}, it needs to be defined before current stage "
                    "{}",
                    tools::GoQuote(source.name), tools::GoQuote(graph.stages()[index].title)));
  }
  return {};
}

Located<> CheckStages(const StageGraph& graph, const ExpansionContext& context) {
  std::vector<std::optional<StageExpander>> ends(graph.stages().size());
  for (size_t i = 0; i < ends.size(); ++i) {
    const StageNode& node = graph.stages()[i];
    if (!context.options->target.empty() && !node.needed) continue;
    StageExpander expander(context, node.image ? &*node.image : nullptr);
    if (node.base.kind == StageSource::Kind::kStage) expander = *ends[node.base.stage];
    expander.StartStage();
    for (StageStep step : node.steps) {
      TRY(expander.Expand(step));
      TRY(CheckSources(graph, i, step));
    }
    ends[i] = std::move(expander);
  }
  return {};
}

Located<> Check(std::string_view text, std::string_view ignore_text, const BuildOptions& options,
                Linter& linter) {
  TRY_ASSIGN(const ParsedDockerfile parsed, ParseDockerfile(text));
  for (const int line : parsed.empty_continuations)
    linter.Warn(rules::kNoEmptyContinuation, {line, line}, "Empty continuation line");
  TRY_ASSIGN(Dockerfile file, ReadInstructions(parsed.root, &linter));
  CheckStageNames(file, linter);
  CheckCasing(file, linter);
  TRY_ASSIGN(const StageGraph graph,
             StageGraph::Create(std::move(file), parsed.escape, options, linter));
  TRY_ASSIGN(const IgnoreMatcher ignore, IgnoreMatcher::Parse(ReadIgnorePatterns(ignore_text)));
  const ExpansionContext context{parsed.escape, &options, &graph.global_args(), &ignore, &linter};
  TRY(CheckStages(graph, context));
  TRY(linter.Verdict());
  return {};
}

}  // namespace

CheckReport CheckDockerfile(std::string_view text, std::string_view ignore_text,
                            const BuildOptions& options) {
  CheckReport report;
  const Result<LintOptions> lint = LintOptions::Parse(FindDirective("check", text).value_or(""));
  if (!lint) {
    report.error = lint.error();
    return report;
  }
  Linter linter(*lint);
  const Located<> done = Check(text, ignore_text, options, linter);
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
    out += fmt::format("\nWARNING: {} - https://docs.docker.com/go/dockerfile/rule/{}/\n{}\n",
                       warning.rule.name, warning.rule.page, warning.message);
    out += SourceExcerpt(filename, text, {&warning.lines, 1});
  }
  return out;
}

}  // namespace veneer::build
