#include "tools/build/language/stage_checks.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "tools/build/language/text.h"
#include "tools/go_value.h"

namespace veneer::build {

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

}  // namespace veneer::build
