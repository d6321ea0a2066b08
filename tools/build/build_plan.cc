#include "tools/build/build_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <variant>

#include "tools/build/language/ignore_file.h"
#include "tools/build/language/parser.h"
#include "tools/build/language/stage_checks.h"
#include "tools/build/language/stage_expander.h"
#include "tools/build/language/text.h"
#include "tools/go_value.h"

namespace veneer::build {
namespace {

bool MakesLayer(const Instruction& instruction) {
  if (const auto* workdir = std::get_if<WorkdirInstruction>(&instruction.body))
    return workdir->path != "/";
  return std::holds_alternative<RunInstruction>(instruction.body) ||
         std::holds_alternative<CopyInstruction>(instruction.body) ||
         std::holds_alternative<AddInstruction>(instruction.body);
}

// As BuildKit counts: any WORKDIR, and FROM of an image.
size_t CountSteps(const StageNode& node) {
  const bool image =
      node.base.kind != StageSource::Kind::kScratch && node.base.kind != StageSource::Kind::kStage;
  const auto counts = [](const StageStep& step) {
    return MakesLayer(step.instruction) ||
           std::holds_alternative<WorkdirInstruction>(step.instruction.body);
  };
  return static_cast<size_t>(std::ranges::count_if(node.steps, counts)) + (image ? 1 : 0);
}

// What a stage leaves for those that are FROM it.
struct StageEnd {
  StageExpander expander;
  ImageDraft draft;
  std::vector<std::string> args;  // names of declared ARGs
};

class Planner {
 public:
  Planner(const StageGraph& graph, const ExpansionContext& context)
      : graph_(graph), context_(context), ends_(graph.stages().size()) {}

  Located<BuildPlan> Run(bool every_stage) {
    BuildPlan plan;
    plan.target = graph_.target();
    plan.stages.resize(graph_.stages().size());
    for (size_t i = 0; i < plan.stages.size(); ++i) {
      if (every_stage || graph_.stages()[i].needed) TRY(PlanStage(i, plan.stages[i]));
    }
    ImageDraft& image = plan.stages[plan.target].draft;
    for (const auto& [name, value] : context_.options->labels) image.SetLabel(name, value);
    return plan;
  }

 private:
  Located<> PlanStage(size_t index, PlannedStage& stage) {
    const StageNode& node = graph_.stages()[index];
    stage.name = node.title;
    stage.base = node.base;
    stage.image = node.image;
    stage.platform = node.platform;
    stage.lines = node.stage.lines;
    stage.needed = node.needed;
    const size_t total = CountSteps(node);
    size_t number = 0;
    const std::string prefix = graph_.stages().size() > 1 ? node.title + " " : "";
    const auto title = [&](const std::string& text) {
      const size_t width = std::to_string(total).size();
      return fmt::format("[{}{:{}}/{}] {}", prefix, ++number, width, total, text);
    };
    if (node.base.kind == StageSource::Kind::kImage ||
        node.base.kind == StageSource::Kind::kNamedContext) {
      stage.title = title("FROM " + node.base.name);
    }

    TRY_ASSIGN(StageEnd end, Begin(node));
    end.expander.StartStage();
    end.draft.StartStage();
    for (StageStep step : node.steps) {
      TRY(end.expander.Expand(step));
      TRY(CheckSources(graph_, index, step));
      NoteArgs(step.instruction, end);
      const bool counts = std::holds_alternative<WorkdirInstruction>(step.instruction.body);
      if (MakesLayer(step.instruction)) {
        stage.steps.push_back(StepOf(step, end, title(step.instruction.code)));
      } else if (counts) {
        ++number;
      }
      end.draft.Apply(step.instruction, ArgValues(end));
    }
    stage.draft = end.draft;
    ends_[index] = std::move(end);
    return {};
  }

  Located<StageEnd> Begin(const StageNode& node) {
    if (node.base.kind == StageSource::Kind::kStage) return *ends_[node.base.stage];
    const Platform platform = node.platform                ? *node.platform
                              : context_.options->platform ? *context_.options->platform
                                                           : HostPlatform();
    StageExpander expander(context_, node.image ? &*node.image : nullptr);
    ImageDraft draft = ImageDraft::Scratch(platform);
    if (node.image && !node.image->config.empty()) {
      TRY_ASSIGN(draft, At(node.stage.lines, ImageDraft::From(node.image->config)));
      const Platform is = Normalize(draft.platform());
      if (node.needed && node.base.kind == StageSource::Kind::kImage &&
          !node.image->layers.empty() && !is.os.empty() && !is.architecture.empty() &&
          (is.os != platform.os || is.architecture != platform.architecture)) {
        context_.linter->Warn(
            rules::kInvalidBaseImagePlatform, node.stage.lines,
            fmt::format("Base image {} was pulled with platform {}, expected {} for current build",
                        node.base.name, tools::GoQuote(Format(is)),
                        tools::GoQuote(Format(Normalize(platform)))),
            node.stage.comments);
      }
    }
    return StageEnd{std::move(expander), std::move(draft), {}};
  }

  static void NoteArgs(const Instruction& instruction, StageEnd& end) {
    const auto* arg = std::get_if<ArgInstruction>(&instruction.body);
    if (arg == nullptr) return;
    for (const ArgInstruction::Arg& one : arg->args) {
      if (std::ranges::find(end.args, one.name) == end.args.end()) end.args.push_back(one.name);
    }
  }

  static std::vector<std::string> ArgValues(const StageEnd& end) {
    std::vector<std::string> out;
    out.reserve(end.args.size());
    for (const std::string& name : end.args)
      out.push_back(name + "=" + end.expander.environment().Get(name).value_or(""));
    return out;
  }

  static PlannedStep StepOf(const StageStep& step, const StageEnd& end, std::string title) {
    PlannedStep out;
    out.instruction = step.instruction;
    out.sources = step.sources;
    out.title = std::move(title);
    const Variables& variables = end.expander.environment();
    out.env.reserve(variables.names().size());
    for (const std::string& name : variables.names())
      out.env.push_back(name + "=" + variables.Get(name).value_or(""));
    out.working_dir = end.expander.working_dir();
    out.user = end.draft.user();
    if (const auto* run = std::get_if<RunInstruction>(&step.instruction.body)) {
      out.run = CommandOf(*run, end.draft.shell());
      if (!out.run->summary.empty()) out.title += " (" + out.run->summary + ")";
    }
    return out;
  }

  const StageGraph& graph_;
  const ExpansionContext& context_;
  std::vector<std::optional<StageEnd>> ends_;
};

}  // namespace

Located<BuildPlan> PlanBuild(std::string_view text, std::string_view ignore_text,
                             const BuildOptions& options, bool every_stage, Linter& linter) {
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
  TRY_ASSIGN(BuildPlan plan, Planner(graph, context).Run(every_stage));
  TRY(linter.Verdict());
  return plan;
}

}  // namespace veneer::build
