#include "tools/build/run_build.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>
#include <ctime>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "store/base/beneath.h"
#include "store/image_config.h"
#include "store/image_reference.h"
#include "store/ingest.h"
#include "tools/build/build_input.h"
#include "tools/build/build_options.h"
#include "tools/build/build_plan.h"
#include "tools/build/build_session.h"
#include "tools/build/builder.h"
#include "tools/build/cache/cache_exchange.h"
#include "tools/build/check.h"
#include "tools/build/isolation.h"
#include "tools/build/language/ignore_file.h"
#include "tools/build/language/platform.h"
#include "tools/build/language/source_excerpt.h"
#include "tools/build/log/build_log.h"
#include "tools/build/named_context.h"
#include "tools/build/output/build_output.h"
#include "tools/build/output/result_files.h"
#include "tools/build/squash.h"
#include "tools/build/store_image.h"
#include "tools/context.h"

namespace veneer::build {
namespace {

// A vertex of the log for something that is no step.
class Task {
 public:
  Task(BuildLog& log, std::string name) : log_(log), vertex_(log.Add(std::move(name))) {
    log_.Start(vertex_);
  }
  BuildLog::Vertex vertex() const { return vertex_; }
  // Ends the vertex, and gives the outcome back.
  template <typename T>
  Result<T> End(Result<T> outcome) {
    if (outcome) {
      log_.Done(vertex_);
    } else if (outcome.error().code() == ECANCELED) {
      log_.Cancelled(vertex_);
    } else {
      log_.Failed(vertex_, outcome.error().Message());
    }
    return outcome;
  }

 private:
  BuildLog& log_;
  BuildLog::Vertex vertex_;
};

class Build {
 public:
  Build(const BuildFlags& flags, const std::string& root) : flags_(flags) { context_.root = root; }

  Located<> Run() {
    TRY(ReadFlags());
    TRY_ASSIGN(store_, context_.OpenStore());
    // Its folder is where the build works; what it holds keeps sweeps away.
    TRY_ASSIGN(ingest_, IngestSession::Begin(*store_));
    TRY(ReadInput());
    TRY(ReadContexts());
    TRY(ImportCaches());
    TRY_ASSIGN(const BuildPlan plan, Plan());
    TRY(CheckBases(plan));
    TRY_ASSIGN(const IgnoreMatcher ignore,
               IgnoreMatcher::Parse(ReadIgnorePatterns(input_.ignore_text)));
    TRY_ASSIGN(const auto session,
               BuildSession::Create(store_->path(), ingest_->path(), std::move(settings_),
                                    input_.directory, &ignore, *log_));
    TRY_ASSIGN(BuiltStages built, BuildStages(*session, plan, flags_.jobs));
    TRY(Finish(plan, std::move(built)));
    return {};
  }

  // What is left to say, and the exit status.
  int Report(const Located<>& outcome) {
    if (log_) {
      for (const LintWarning& warning : warnings_) {
        log_->Warning(fmt::format("{}: {} (line {})", warning.rule.name, warning.message,
                                  warning.lines.first));
      }
      log_->Finish();
    }
    ingest_.reset();
    if (outcome) {
      if (flags_.quiet) context_.Print(image_.ToString() + "\n");
      return context_.Finish();
    }
    if (WasInterrupted()) {
      tools::Context::Complain("the build was interrupted");
      return 130;
    }
    std::fflush(stdout);
    const DockerfileFile& file = input_.dockerfile;
    std::fputs(ErrorExcerpts(file.name, file.text, outcome.error()).c_str(), stderr);
    // What is wrong with the command line has no build to fail.
    tools::Context::Complain((log_ ? "failed to solve: " : "") + outcome.error().message);
    return tools::kExitError;
  }

 private:
  // All that can be wrong with the command line comes before anything is done.
  Result<> ReadFlags() {
    if (flags_.pull)
      return Invalid(
          "--pull needs a registry client, which is not there yet: 'veneer load' a newer "
          "base image instead");
    if (flags_.push)
      return Invalid(
          "--push needs a registry client, which is not there yet: use --output "
          "type=oci,dest=FILE and another tool");
    const char* const wanted = std::getenv("BUILDKIT_PROGRESS");
    const std::string mode = flags_.quiet               ? "quiet"
                             : !flags_.progress.empty() ? flags_.progress
                             : wanted != nullptr        ? wanted
                                                        : "auto";
    TRY_ASSIGN(const ProgressMode progress, ParseProgressMode(mode));
    for (const std::string& text : flags_.outputs) {
      if (text.empty()) continue;
      TRY_ASSIGN(OutputSpec output, ParseOutput(text));
      outputs_.push_back(std::move(output));
    }
    if (outputs_.empty()) outputs_.emplace_back();
    TRY_ASSIGN(cache_from_, ParseCacheLocations(flags_.cache_from, false));
    TRY_ASSIGN(cache_to_, ParseCacheLocations(flags_.cache_to, true));
    for (const std::string& tag : flags_.tags) {
      TRY_ASSIGN(const ImageReference reference, ImageReference::Parse(tag));
      if (reference.digest())
        return Invalid("invalid tag " + tag + ": a digest cannot be given to an image");
      references_.push_back(reference.Canonical());
    }
    TRY_ASSIGN(options_, ReadBuildOptions(flags_));
    TRY_ASSIGN(settings_, ReadSettings(flags_, options_));
    log_ = BuildLog::Create(progress, STDERR_FILENO);
    return {};
  }

  Result<> ReadInput() {
    Task task(*log_, "[internal] load build definition from " +
                         (flags_.file.empty() ? std::string("Dockerfile") : flags_.file));
    TRY_ASSIGN(input_,
               task.End(OpenBuildInput(flags_.file, flags_.context, ingest_->path(),
                                       KeepsGitDir(options_), [] { return WasInterrupted(); })));
    return {};
  }

  Result<> ReadContexts() {
    int number = 0;
    for (const auto& [name, value] : ContextValues(flags_.contexts)) {
      const std::string scratch = ingest_->path() + "/named-" + std::to_string(number++);
      TRY(EnsureDir(AT_FDCWD, scratch, 0700));
      Task task(*log_, "[context " + name + "] load from " + value);
      TRY_ASSIGN(NamedContext context, task.End(OpenNamedContext(*store_, value, scratch,
                                                                 [] { return WasInterrupted(); })));
      settings_.contexts[name] = std::move(context);
      options_.contexts.insert(name);
    }
    options_.context_image = [contexts = settings_.contexts](const std::string& name) {
      const NamedContext* const found = FindContext(contexts, name);
      return found != nullptr ? found->image : std::nullopt;
    };
    options_.base_image = [this](const std::string& name) { return FindBaseImage(context_, name); };
    for (const std::string& text : flags_.ssh) {
      const std::string scratch = ingest_->path() + "/ssh-" + std::to_string(number++);
      TRY(EnsureDir(AT_FDCWD, scratch, 0700));
      TRY_ASSIGN(auto agent, ParseSsh(text, scratch));
      settings_.agents.insert(std::move(agent));
    }
    return {};
  }

  // A cache that is not there, or cannot be read, makes a build slower and no other.
  Result<> ImportCaches() {
    for (const CacheLocation& from : cache_from_) {
      Task task(*log_, "importing cache manifest from " + from.directory);
      const Result<> imported = task.End(ImportCache(*store_, from));
      if (!imported)
        log_->Warning("--cache-from " + from.directory + ": " + imported.error().Message());
    }
    return {};
  }

  Located<BuildPlan> Plan() {
    TRY_ASSIGN(const LintOptions lint, LintOptionsOf(input_.dockerfile.text, options_));
    Linter linter(lint);
    Located<BuildPlan> plan =
        PlanBuild(input_.dockerfile.text, input_.ignore_text, options_, false, linter);
    warnings_ = linter.Sorted();
    return plan;
  }

  // Before anything runs: nobody wants to hear of a missing base after an hour.
  Located<> CheckBases(const BuildPlan& plan) {
    for (const PlannedStage& stage : plan.stages) {
      if (!stage.needed) continue;
      if (stage.base.kind == StageSource::Kind::kImage && !stage.image) {
        return At(stage.lines, stage.base.name +
                                   ": not found in the store; load it with 'veneer load' (there "
                                   "is no registry client yet)");
      }
      TRY(CheckPlatform(stage));
    }
    return {};
  }

  // An image of another platform than was asked for is none.
  Located<> CheckPlatform(const PlannedStage& stage) {
    const auto& wanted = stage.platform ? stage.platform : options_.platform;
    if (!wanted || !stage.image) return {};
    TRY_ASSIGN(const ImageConfig config, At(stage.lines, ImageConfig::Parse(stage.image->config)));
    if ((config.os().empty() || config.os() == wanted->os) &&
        (config.architecture().empty() || config.architecture() == wanted->architecture)) {
      return {};
    }
    return At(stage.lines,
              fmt::format("{}: no match for platform {}: the image in the store is for {}/{}",
                          stage.base.name, Format(*wanted), config.os(), config.architecture()));
  }

  Result<> Finish(const BuildPlan& plan, BuiltStages built) {
    const ImageDraft& draft = plan.stages[plan.target].draft;
    StageResult& stage = built.target;
    const std::optional<int64_t> epoch = epoch_();
    BuildResult result;
    result.layers = stage.layers;
    result.references = references_;
    result.source_date_epoch = epoch;
    result.config = draft.Finish(stage.layers, stage.created, epoch);
    if (flags_.squash) {
      Task task(*log_, "squashing the layers of the build");
      TRY_ASSIGN(result.layers, task.End(Squash(*store_, stage.layers, stage.base_layers, epoch)));
      TRY_ASSIGN(result.config, SquashedConfig(result.config, result.layers, stage.base_layers));
    }
    result.image = ImageConfig::IdOf(result.config);
    image_ = result.image;
    for (const OutputSpec& output : outputs_) {
      if (output.kind == OutputKind::kNone) continue;
      Task task(*log_, TitleOf(output));
      const Result<> written = WriteOutput(*store_, result, output);
      if (written) {
        for (const std::string& line : DoneIn(result, output))
          log_->Output(task.vertex(), line + "\n", true);
      }
      TRY(task.End(written));
    }
    for (const CacheLocation& to : cache_to_) {
      Task task(*log_, "exporting cache to " + to.directory);
      const Result<> exported =
          task.End(ExportCache(*store_, to.all_stages ? built.all_keys : stage.keys, to));
      if (exported) continue;
      if (!to.ignore_error) return exported;
      log_->Warning("--cache-to " + to.directory + ": " + exported.error().Message());
    }
    if (!flags_.iidfile.empty()) TRY(WriteImageIdFile(flags_.iidfile, image_));
    if (!flags_.metadata_file.empty()) {
      TRY_ASSIGN(const auto metadata, BuildMetadata(*store_, result, outputs_));
      TRY(WriteMetadataFile(flags_.metadata_file, metadata));
    }
    return {};
  }

  std::optional<int64_t> epoch_() const {
    const auto epoch = SourceDateEpoch(options_.build_args);
    return epoch ? *epoch : std::nullopt;
  }

  const BuildFlags& flags_;
  tools::Context context_;
  Store* store_ = nullptr;
  std::unique_ptr<BuildLog> log_;
  std::unique_ptr<IngestSession> ingest_;
  std::vector<OutputSpec> outputs_;
  std::vector<CacheLocation> cache_from_, cache_to_;
  std::vector<std::string> references_;
  BuildOptions options_;
  BuildSettings settings_;
  BuildInput input_;
  std::vector<LintWarning> warnings_;
  ImageId image_;
};

}  // namespace

int RunBuild(const BuildFlags& flags, const std::string& root) {
  Build build(flags, root);
  return build.Report(build.Run());
}

}  // namespace veneer::build
