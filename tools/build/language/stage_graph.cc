#include "tools/build/language/stage_graph.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "store/image_reference.h"
#include "tools/build/language/linter.h"
#include "tools/build/language/parser.h"
#include "tools/build/language/text.h"
#include "tools/go_value.h"
#include "tools/shell_word.h"

namespace veneer::build {
namespace {

constexpr size_t kMaxStages = 1000;

using Kind = StageSource::Kind;

}  // namespace

class StageGraphBuilder {
 public:
  StageGraphBuilder(char escape, const BuildOptions& options, Linter& linter)
      : options_(options), linter_(linter) {
    words_.escape = escape;
  }

  Located<StageGraph> Run(Dockerfile file) {
    if (file.stages.size() > kMaxStages)
      return At(file.stages[kMaxStages].lines, "more than 1000 stages");
    const std::string target = options_.target.empty() ? file.stages.back().name : options_.target;
    const Variables predefined = PlatformArgs(target.empty() ? "default" : target);
    CheckDefaultBases(file, predefined);
    TRY_ASSIGN(graph_.global_args_, GlobalArgs(file, predefined, options_.build_args));
    for (const Instruction& instruction : file.global_args) {
      for (const auto& arg : std::get<ArgInstruction>(instruction.body).args)
        declared_.push_back(arg.name);
    }
    for (const std::string& name : graph_.global_args_.names()) declared_.push_back(name);
    for (Stage& stage : file.stages) TRY(AddStage(std::move(stage)));
    TRY(FindTarget());
    for (StageNode& node : graph_.stages_) {
      for (StageStep& step : node.steps) TRY(FindSources(step));
    }
    TRY(RefuseCycles());
    for (StageNode& node : graph_.stages_) TRY(ResolveBase(node));
    TRY(AddTriggers());
    return std::move(graph_);
  }

 private:
  Variables PlatformArgs(const std::string& target) const {
    const Platform host = HostPlatform();
    // A platform asked for is the one to build on, too, as far as ARGs can tell.
    const Platform wanted = options_.platform.value_or(host);
    const std::vector<std::pair<std::string, std::string>> args = {
        {"BUILDPLATFORM", Format(host)},
        {"BUILDOS", host.os},
        {"BUILDOSVERSION", ""},
        {"BUILDARCH", host.architecture},
        {"BUILDVARIANT", host.variant},
        {"TARGETPLATFORM", Format(wanted)},
        {"TARGETOS", wanted.os},
        {"TARGETOSVERSION", ""},
        {"TARGETARCH", wanted.architecture},
        {"TARGETVARIANT", wanted.variant},
        {"TARGETSTAGE", target},
    };
    Variables out;
    for (const auto& [name, value] : args) {
      const auto given = options_.build_args.find(name);
      out.Set(name, given == options_.build_args.end() ? value : given->second);
    }
    return out;
  }

  Result<tools::ShellWord> Expand(const std::string& word, const Variables& variables) const {
    return tools::ExpandShellWord(word, variables.Lookup(), words_);
  }

  Located<Variables> GlobalArgs(const Dockerfile& file, Variables variables,
                                const std::map<std::string, std::string>& build_args) const {
    for (const Instruction& instruction : file.global_args) {
      for (const auto& arg : std::get<ArgInstruction>(instruction.body).args) {
        if (const auto given = build_args.find(arg.name); given != build_args.end()) {
          variables.Set(arg.name, given->second);
        } else if (arg.value) {
          TRY_ASSIGN(const tools::ShellWord value,
                     At(instruction.lines, Expand(*arg.value, variables)));
          variables.Set(arg.name, value.text);
        }
      }
    }
    return variables;
  }

  // Whether the file makes sense without any --build-arg.
  void CheckDefaultBases(const Dockerfile& file, const Variables& predefined) {
    const Located<Variables> defaults = GlobalArgs(file, predefined, {});
    if (!defaults) return;
    for (const Stage& stage : file.stages) {
      const Result<tools::ShellWord> base = Expand(stage.base, *defaults);
      if (!base) return;
      if (ImageReference::Parse(base->text)) continue;
      linter_.Warn(rules::kInvalidDefaultArgInFrom, stage.lines,
                   fmt::format("Default value for ARG {} results in empty or invalid base image "
                               "name",
                               stage.base));
    }
  }

  void CheckDeclared(const Stage& stage, const std::vector<std::string>& unmatched) {
    for (const std::string& name : unmatched) {
      if (std::ranges::find(declared_, name) != declared_.end()) continue;
      linter_.Warn(rules::kUndefinedArgInFrom, stage.lines,
                   fmt::format("FROM argument '{}' is not declared{}", name,
                               DidYouMean(name, declared_, true)),
                   stage.comments);
    }
  }

  Located<> AddStage(Stage stage) {
    StageNode node;
    TRY_ASSIGN(const tools::ShellWord base,
               At(stage.lines, Expand(stage.base, graph_.global_args_)));
    CheckDeclared(stage, base.unmatched);
    if (base.text.empty())
      return At(stage.lines, "base name (" + stage.base + ") should not be blank");
    if (!stage.platform.empty()) {
      TRY_ASSIGN(node.platform, ReadPlatform(stage));
    }
    node.title = stage.name.empty() ? "stage-" + std::to_string(graph_.stages_.size()) : stage.name;
    node.base = {Kind::kImage, 0, base.text};
    if (!stage.name.empty() && IsContext(stage.name)) {
      node.base = {Kind::kNamedContext, 0, stage.name};
    } else if (const auto earlier = by_name_.find(base.text); earlier != by_name_.end()) {
      node.base = {Kind::kStage, earlier->second, base.text};
    } else if (base.text == "scratch") {
      node.base.kind = Kind::kScratch;
    }
    if (!stage.name.empty()) by_name_[stage.name] = graph_.stages_.size();
    const bool replaced = node.base.kind == Kind::kNamedContext;  // the context is the stage
    for (Instruction& instruction : stage.instructions) {
      if (!replaced) node.steps.push_back({std::move(instruction), {}, false});
    }
    stage.instructions.clear();
    node.stage = std::move(stage);
    graph_.stages_.push_back(std::move(node));
    return {};
  }

  Located<Platform> ReadPlatform(const Stage& stage) {
    const Result<tools::ShellWord> word = Expand(stage.platform, graph_.global_args_);
    if (!word) {
      return At(stage.lines,
                word.error().Within("failed to process arguments for platform ").Message());
    }
    CheckDeclared(stage, word->unmatched);
    CheckPlatform(stage, *word);
    const auto hint = [&] {
      for (const std::string& name : word->unmatched) {
        const std::string did = DidYouMean(name, graph_.global_args_.names(), true);
        if (!did.empty()) return did;
      }
      return std::string();
    };
    if (word->text.empty()) {
      return At(stage.lines, "empty platform value from expression " + stage.platform + hint());
    }
    Result<Platform> platform = ParsePlatform(word->text);
    if (!platform) {
      return At(stage.lines, "failed to parse platform " + stage.platform + ": " +
                                 platform.error().Message() + hint());
    }
    return std::move(*platform);
  }

  void CheckPlatform(const Stage& stage, const tools::ShellWord& word) {
    if (word.matched == std::vector<std::string>{"TARGETPLATFORM"} && word.unmatched.empty() &&
        word.text == graph_.global_args_.Get("TARGETPLATFORM")) {
      linter_.Warn(rules::kRedundantTargetPlatform, stage.lines,
                   fmt::format("Setting platform to predefined {} in FROM is redundant as this is "
                               "the default behavior",
                               stage.platform),
                   stage.comments);
    }
    if (!word.matched.empty() || !word.unmatched.empty()) return;
    const Result<Platform> platform = ParsePlatform(word.text);
    if (!platform || stage.name.contains(platform->os) ||
        stage.name.contains(platform->architecture))
      return;
    linter_.Warn(rules::kFromPlatformFlagConstDisallowed, stage.lines,
                 "FROM --platform flag should not use constant value " + tools::GoQuote(word.text),
                 stage.comments);
  }

  bool IsContext(const std::string& name) const {
    if (EqualFold(name, "scratch") || EqualFold(name, "context")) return false;
    const Result<ImageReference> reference = ImageReference::Parse(ToLower(name));
    return std::ranges::any_of(options_.contexts, [&](const std::string& context) {
      if (EqualFold(context, name)) return true;
      const Result<ImageReference> other = ImageReference::Parse(ToLower(context));
      return reference && other && *reference == *other;
    });
  }

  Located<> FindTarget() {
    graph_.target_ = graph_.stages_.size() - 1;
    if (options_.target.empty()) return {};
    const auto found = by_name_.find(ToLower(options_.target));
    if (found != by_name_.end()) {
      graph_.target_ = found->second;
      return {};
    }
    std::vector<std::string> names;
    names.reserve(graph_.stages_.size());
    for (const StageNode& node : graph_.stages_) names.push_back(node.title);
    return std::unexpected(DockerfileError("target stage " + tools::GoQuote(options_.target) +
                                               " could not be found" +
                                               DidYouMean(options_.target, names, true),
                                           {}));
  }

  // A stage by its name, else an image or a context. `lines` is where to complain.
  Located<StageSource> SourceNamed(const std::string& name, Lines lines) const {
    if (const auto stage = by_name_.find(ToLower(name)); stage != by_name_.end())
      return StageSource{Kind::kStage, stage->second, name};
    if (name == "scratch") return StageSource{Kind::kScratch, 0, name};
    if (IsContext(name)) return StageSource{Kind::kNamedContext, 0, name};
    if (const auto reference = ImageReference::Parse(name); !reference) {
      return At(lines, "failed to parse stage name " + tools::GoQuote(name) + ": " +
                           reference.error().Message());
    }
    return StageSource{Kind::kImage, 0, name};
  }

  Located<> FindSources(StageStep& step) const {
    const Lines lines = step.instruction.lines;
    if (const auto* run = std::get_if<RunInstruction>(&step.instruction.body)) {
      for (const std::string& from : run->mount_sources) {
        if (from.empty()) {
          step.sources.emplace_back();
          continue;
        }
        TRY_ASSIGN(StageSource source, SourceNamed(from, lines));
        step.sources.push_back(std::move(source));
      }
      return {};
    }
    const auto* copy = std::get_if<CopyInstruction>(&step.instruction.body);
    if (!copy || copy->from.empty()) return {};
    TRY_ASSIGN(const tools::ShellWord word, At(lines, Expand(copy->from, Variables())));
    if (word.text != copy->from) {
      return At(lines,
                "variable expansion is not supported for --from, define a new stage with FROM "
                "using ARG from global scope as a workaround");
    }
    int64_t index = 0;
    const char* const last = copy->from.data() + copy->from.size();
    const char* const first = copy->from.data() + (copy->from.starts_with('+') ? 1 : 0);
    if (const auto [end, error] = std::from_chars(first, last, index);
        error == std::errc() && end == last) {
      if (index < 0 || std::cmp_greater_equal(index, graph_.stages_.size()))
        return At(lines, "invalid stage index " + std::to_string(index));
      step.sources.push_back({Kind::kStage, static_cast<size_t>(index), copy->from});
      return {};
    }
    TRY_ASSIGN(StageSource source, SourceNamed(copy->from, lines));
    step.sources.push_back(std::move(source));
    return {};
  }

  // A stage that copies from itself, by way of other stages or not. A base is always an earlier
  // stage.
  Located<> RefuseCycles() const {
    enum class Mark { kNew, kOnPath, kDone };
    std::vector<Mark> marks(graph_.stages_.size(), Mark::kNew);
    std::vector<Lines> path;
    // Whether a cycle was found; then `path` has the instructions that led into it. As deep as
    // there are stages, which are limited.
    const std::function<bool(size_t)> visit = [&](size_t index) {
      marks[index] = Mark::kOnPath;
      for (const StageStep& step : graph_.stages_[index].steps) {
        for (const StageSource& source : step.sources) {
          if (source.kind != Kind::kStage || marks[source.stage] == Mark::kDone) continue;
          path.push_back(step.instruction.lines);
          if (marks[source.stage] == Mark::kOnPath || visit(source.stage)) return true;
          path.pop_back();
        }
      }
      marks[index] = Mark::kDone;
      return false;
    };
    for (size_t i = 0; i < graph_.stages_.size(); ++i) {
      if (marks[i] != Mark::kNew || !visit(i)) continue;
      return std::unexpected(DockerfileError(
          "circular dependency detected on stage: " + graph_.stages_[i].title, path));
    }
    return {};
  }

  Located<> ResolveBase(StageNode& node) const {
    if (node.base.kind == Kind::kNamedContext) ReadContextImage(node);
    if (node.base.kind != Kind::kImage) return {};
    const Result<ImageReference> reference = ImageReference::Parse(node.base.name);
    if (!reference) {
      return At(node.stage.lines, "failed to parse stage name " + tools::GoQuote(node.base.name) +
                                      ": " + reference.error().Message());
    }
    if (IsContext(node.base.name)) {
      node.base.kind = Kind::kNamedContext;
      ReadContextImage(node);
    } else if (options_.base_image) {
      node.image = options_.base_image(reference->Canonical());
    }
    return {};
  }

  void ReadContextImage(StageNode& node) const {
    if (options_.context_image) node.image = options_.context_image(node.base.name);
  }

  void MarkNeeded() {
    std::vector<size_t> left = {graph_.target_};
    while (!left.empty()) {
      StageNode& node = graph_.stages_[left.back()];
      left.pop_back();
      if (std::exchange(node.needed, true)) continue;
      if (node.base.kind == Kind::kStage) left.push_back(node.base.stage);
      for (const StageStep& step : node.steps) {
        for (const StageSource& source : step.sources) {
          if (source.kind == Kind::kStage) left.push_back(source.stage);
        }
      }
    }
  }

  // The triggers of each base go before its stage's own steps, and may need more stages.
  Located<> AddTriggers() {
    std::vector<bool> done(graph_.stages_.size());
    for (bool more = true; more;) {
      more = false;
      for (StageNode& node : graph_.stages_) node.needed = false;
      MarkNeeded();
      for (size_t i = 0; i < graph_.stages_.size(); ++i) {
        StageNode& node = graph_.stages_[i];
        if (!node.needed || done[i]) continue;
        done[i] = more = true;
        std::vector<StageStep> steps;
        for (const std::string& trigger : TriggersFor(node)) {
          TRY_ASSIGN(StageStep step, ReadTrigger(trigger, node.stage.lines));
          steps.push_back(std::move(step));
        }
        node.steps.insert(node.steps.begin(), std::make_move_iterator(steps.begin()),
                          std::make_move_iterator(steps.end()));
      }
    }
    return {};
  }

  std::vector<std::string> TriggersFor(const StageNode& node) const {
    if (node.image) return node.image->on_build;
    std::vector<std::string> triggers;
    if (node.base.kind != Kind::kStage) return triggers;
    for (const StageStep& step : graph_.stages_[node.base.stage].steps) {
      if (const auto* on_build = std::get_if<OnbuildInstruction>(&step.instruction.body))
        triggers.push_back(on_build->expression);
    }
    return triggers;
  }

  Located<StageStep> ReadTrigger(const std::string& trigger, Lines lines) const {
    Located<ParsedDockerfile> parsed = ParseDockerfile(trigger);
    if (!parsed) return At(lines, parsed.error().message);
    if (parsed->root.children.size() != 1)
      return At(lines, "onbuild trigger should be a single expression");
    Node& node = parsed->root.children.front();
    node.lines = lines;
    TRY_ASSIGN(Instruction instruction, ReadInstruction(node, nullptr));
    StageStep step{std::move(instruction), {}, true};
    TRY(FindSources(step));
    return step;
  }

  const BuildOptions& options_;
  Linter& linter_;
  tools::ShellWordOptions words_;
  StageGraph graph_;
  std::map<std::string, size_t> by_name_;  // of several with one name, the last so far
  std::vector<std::string> declared_;      // names that FROM lines may use
};

Located<StageGraph> StageGraph::Create(Dockerfile file, char escape, const BuildOptions& options,
                                       Linter& linter) {
  return StageGraphBuilder(escape, options, linter).Run(std::move(file));
}

}  // namespace veneer::build
