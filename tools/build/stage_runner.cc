#include "tools/build/stage_runner.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <ctime>
#include <utility>
#include <variant>

#include "store/base/beneath.h"
#include "store/layer_writer.h"
#include "store/step_layer.h"
#include "tools/build/copy/source_match.h"
#include "tools/build/fetch.h"
#include "tools/build/language/copy_rules.h"
#include "tools/build/language/text.h"
#include "tools/build/run/chain_mount.h"
#include "tools/build/store_image.h"
#include "tools/go_value.h"
#include "tools/image_lookup.h"

namespace veneer::build {
namespace {

// An empty directory, which becomes a working directory by being copied.
class EmptyTree : public SourceTree {
 public:
  Result<SourceEntry> Stat(const std::string& path) const override {
    if (!path.empty()) return Fail(ENOENT, path);
    SourceEntry root;
    root.attr.mode = S_IFDIR | 0755;
    root.attr.mtime_sec = std::time(nullptr);
    return root;
  }
  Result<std::vector<std::string>> List(const std::string& /*path*/) const override { return {}; }
  Result<UniqueFd> Open(const std::string& path) const override { return Fail(ENOENT, path); }
};

// Another tree, as long as nobody wants the build to end: reading is what takes long.
class CancellableTree : public SourceTree {
 public:
  CancellableTree(const SourceTree& tree, const BuildSession& session)
      : tree_(tree), session_(session) {}
  Result<SourceEntry> Stat(const std::string& path) const override { return tree_.Stat(path); }
  Result<std::vector<std::string>> List(const std::string& path) const override {
    if (session_.cancelled()) return Fail(ECANCELED, "copy");
    return tree_.List(path);
  }
  Result<UniqueFd> Open(const std::string& path) const override {
    if (session_.cancelled()) return Fail(ECANCELED, "copy");
    return tree_.Open(path);
  }

 private:
  const SourceTree& tree_;
  const BuildSession& session_;
};

// The words as BuildKit shows them in an error.
std::string Shown(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

}  // namespace

// A step's share of --jobs.
class StageRunner::Working {
 public:
  explicit Working(const StageEnvironment& environment) : environment_(environment) {
    environment_.begin_work();
  }
  ~Working() { environment_.end_work(); }
  Working(const Working&) = delete;
  Working& operator=(const Working&) = delete;

 private:
  const StageEnvironment& environment_;
};

StepOutcome StageRunner::Run(const PlannedStage& stage) {
  use_cache_ = UsesCache(session_.settings(), stage.name);
  TRY(At(stage.lines, Begin(stage)));
  for (const PlannedStep& step : stage.steps) {
    const Result<> done = RunStep(stage, step);
    if (done) continue;
    // Who gives up for another's error has nothing to show.
    if (done.error().code() == ECANCELED) return std::unexpected(DockerfileError(done.error()));
    return At(step.instruction.lines, done.error().Message());
  }
  return std::move(result_);
}

Result<> StageRunner::Begin(const PlannedStage& stage) {
  result_ = {};
  BuildLog& log = session_.log();
  switch (stage.base.kind) {
    case StageSource::Kind::kStage: {
      TRY_ASSIGN(result_, environment_.await(stage.base.stage));
      return {};
    }
    case StageSource::Kind::kScratch:
    case StageSource::Kind::kBuildContext:
      return {};
    case StageSource::Kind::kImage:
    case StageSource::Kind::kNamedContext:
      break;
  }
  const BuildLog::Vertex vertex = log.Add(stage.title);
  log.Start(vertex);
  const auto layers = [&]() -> Result<std::vector<DiffId>> {
    if (stage.image) return stage.image->layers;
    return LayersOf(stage.base);
  }();
  if (!layers) {
    log.Failed(vertex, layers.error().Message());
    return std::unexpected(layers.error());
  }
  result_.layers = *layers;
  result_.base_layers = result_.layers.size();
  log.Done(vertex);
  return {};
}

Result<> StageRunner::RunStep(const PlannedStage& /*stage*/, const PlannedStep& step) {
  BuildLog& log = session_.log();
  const BuildLog::Vertex vertex = log.Add(step.title);
  const Result<> done = [&]() -> Result<> {
    const InstructionBody& body = step.instruction.body;
    if (const auto* copy = std::get_if<CopyInstruction>(&body)) return Copy(step, vertex, *copy);
    if (const auto* add = std::get_if<AddInstruction>(&body)) return Add(step, vertex, *add);
    if (step.run) return Command(step, vertex);
    return MakeWorkdir(step, vertex);
  }();
  if (done) return {};
  if (done.error().code() == ECANCELED || session_.cancelled()) {
    log.Cancelled(vertex);
    return Fail(ECANCELED, "build");
  }
  log.Failed(vertex, done.error().Message());
  return done;
}

Result<> StageRunner::Apply(const PlannedStep& step, BuildLog::Vertex vertex, const Digest& key,
                            bool on_nothing, const MakeLayer& make) {
  BuildLog& log = session_.log();
  if (session_.cancelled()) return Fail(ECANCELED, "build");
  std::optional<CachedChain> chain;
  if (use_cache_) {
    TRY_ASSIGN(chain, cache_.Find(key));
    if (chain) log.Cached(vertex);
  }
  if (!chain) {
    log.Start(vertex);
    const std::vector<DiffId> below = on_nothing ? std::vector<DiffId>() : result_.layers;
    TRY_ASSIGN(chain, cache_.Make(key, below, step.instruction.code, session_.settings().epoch,
                                  !use_cache_, make));
    log.Done(vertex);
  }
  if (on_nothing) {
    result_.layers.push_back(chain->layers.back());
  } else {
    result_.layers = std::move(chain->layers);
  }
  result_.created.push_back(chain->created_at);
  result_.keys.push_back(key);
  return {};
}

Result<> StageRunner::Command(const PlannedStep& step, BuildLog::Vertex vertex) {
  const auto& run = std::get<RunInstruction>(step.instruction.body);
  if (run.security == "insecure" && !session_.settings().allow_insecure) {
    return Invalid("security.insecure is not allowed; --allow security.insecure does allow it",
                   EPERM);
  }
  const SourceChain chain_of = [this](const StageSource& source, const std::string& path) {
    return MountSourceOf(source, path);
  };
  TRY_ASSIGN(RunMounts mounts, RunMounts::Describe(session_, cache_, step.working_dir,
                                                   run.expanded_mounts, step.sources, chain_of));
  const Working working(environment_);
  const BuildSettings& settings = session_.settings();
  StepKey key("run 1");
  key.AddChain(result_.layers).AddOptional(settings.epoch);
  key.Add(step.run->words).Add(step.run->script ? step.run->script->content : "");
  key.Add(step.env).Add(step.working_dir).Add(step.user).Add(run.network).Add(run.security);
  key.Add(settings.network).Add(settings.extra_hosts).Add(settings.hostname);
  key.AddNumber(static_cast<int64_t>(settings.shm_size));
  for (const Ulimit& limit : settings.ulimits)
    key.Add(limit.name).AddNumber(limit.soft).AddNumber(limit.hard);
  mounts.AddTo(key);
  return Apply(step, vertex, key.Finish(), false,
               [&](IngestSession& ingest) { return RunCommand(step, vertex, mounts, ingest); });
}

Result<StagedLayer> StageRunner::RunCommand(const PlannedStep& step, BuildLog::Vertex vertex,
                                            RunMounts& mounts, IngestSession& ingest) {
  const auto& run = std::get<RunInstruction>(step.instruction.body);
  const BuildSettings& settings = session_.settings();
  TRY_ASSIGN(const OciRuntime* runtime, session_.Runtime());
  TRY_ASSIGN(const auto chain, cache_.Tree(result_.layers));
  TRY_ASSIGN(const StepUpper folders, MakeStepUpper(ingest, *chain));
  TRY_ASSIGN(const std::string target, session_.NewFolder("root"));
  TRY_ASSIGN(ChainMount root, ChainMount::Mount(cache_.store(), result_.layers, folders.upper,
                                                folders.work, target));
  RunSpec spec;
  spec.root = target;
  spec.words = step.run->words;
  spec.env = step.env;
  for (const std::string& entry : settings.proxy_env) {
    const std::string_view name = std::string_view(entry).substr(0, entry.find('=') + 1);
    const bool set = std::ranges::any_of(
        spec.env, [&](const std::string& other) { return other.starts_with(name); });
    if (!set) spec.env.push_back(entry);
  }
  spec.working_dir = step.working_dir;
  spec.user = step.user;
  spec.network = run.network == "default" ? settings.network : run.network;
  spec.insecure = run.security == "insecure";
  spec.extra_hosts = settings.extra_hosts;
  spec.hostname = settings.hostname;
  spec.shm_size = settings.shm_size;
  spec.ulimits = settings.ulimits;
  TRY_ASSIGN(spec.scratch, session_.NewFolder("run"));
  if (step.run->script) {
    TRY_ASSIGN(const std::string folder, session_.NewFolder("script"));
    if (chmod(folder.c_str(), 0755) != 0) return Errno("chmod " + folder);
    TRY_ASSIGN(const UniqueFd file, OpenAt(AT_FDCWD, folder + "/" + step.run->script->name,
                                           O_WRONLY | O_CREAT | O_EXCL, 0755));
    TRY(WriteAll(file.get(), step.run->script->content));
    if (fchmod(file.get(), 0755) != 0) return Errno("chmod a heredoc");
    spec.mounts.push_back({StepMount::Kind::kBind, folder, kScriptFolder, true, 0});
  }
  TRY(mounts.Make(spec));
  TRY_ASSIGN(const int status, runtime->Run(
                                   spec,
                                   [&](std::string_view text, bool is_stderr) {
                                     session_.log().Output(vertex, text, is_stderr);
                                   },
                                   [&] { return session_.cancelled(); }));
  if (status != 0) {
    return Invalid(fmt::format("process {} did not complete successfully: exit code: {}",
                               tools::GoQuote(Shown(step.run->words)), status),
                   EIO);
  }
  TRY(root.Unmount());
  TRY_ASSIGN(const UniqueFd upper, OpenAt(AT_FDCWD, folders.upper, O_RDONLY | O_DIRECTORY));
  return StageUpper(ingest, upper.get(), *chain, {settings.epoch, {}});
}

// As COPY and ADD read their destinations: a "/" at the end counts.
std::string StageRunner::Absolute(const PlannedStep& step, const std::string& destination) const {
  std::string path =
      destination.starts_with('/') ? destination : step.working_dir + "/" + destination;
  const bool is_directory =
      path.ends_with('/') || path.ends_with("/.") || path.ends_with("/..") || destination.empty();
  path = CleanPath(path);
  return is_directory && path != "/" ? path + "/" : path;
}

Result<> StageRunner::CopyLayer(const PlannedStep& step, BuildLog::Vertex vertex, CopySpec spec) {
  TRY_ASSIGN(spec.scratch, session_.NewFolder("copy"));
  std::optional<CancellableTree> from;
  if (spec.from != nullptr) spec.from = &from.emplace(*spec.from, session_);
  const bool on_nothing = spec.link;
  std::shared_ptr<const tree::MergedTree> chain;
  if (!on_nothing) {
    TRY_ASSIGN(chain, cache_.Tree(result_.layers));
  }
  auto prepared = CopyStep::Prepare(cache_.store(), std::move(spec), std::move(chain));
  if (!prepared) {
    if (prepared.error().code() != ENOENT) return std::unexpected(prepared.error());
    return Invalid("failed to compute cache key: " + prepared.error().Message(), ENOENT);
  }
  const auto copy = std::move(*prepared);
  const std::optional<int64_t> epoch = session_.settings().epoch;
  StepKey key(on_nothing ? "link 1" : "copy 1");
  if (!on_nothing) key.AddChain(result_.layers);
  key.AddOptional(epoch).Add(copy->Key().view());
  return Apply(step, vertex, key.Finish(), on_nothing,
               [&](IngestSession& ingest) -> Result<StagedLayer> {
                 TRY_ASSIGN(auto writer, LayerWriter::Create(ingest));
                 TRY(copy->Write(*writer, epoch));
                 return writer->Finish();
               });
}

Result<> StageRunner::Copy(const PlannedStep& step, BuildLog::Vertex vertex,
                           const CopyInstruction& copy) {
  const StageSource source = step.sources.empty() ? StageSource() : step.sources.front();
  TRY_ASSIGN(const std::unique_ptr<SourceTree> tree,
             copy.sources.empty() ? std::unique_ptr<SourceTree>() : TreeOf(source));
  const Working working(environment_);
  CopySpec spec;
  spec.from = tree ? tree.get() : session_.context();
  if (spec.from == nullptr && !copy.sources.empty())
    return Invalid("there is no build context to copy " + copy.sources.front() + " from", ENOENT);
  spec.sources = copy.sources;
  spec.heredocs = copy.heredocs;
  spec.destination = Absolute(step, copy.destination);
  spec.chown = copy.chown;
  spec.chmod = copy.chmod;
  spec.exclude = copy.exclude;
  spec.parents = copy.parents;
  spec.link = copy.link;
  return CopyLayer(step, vertex, std::move(spec));
}

Result<> StageRunner::Add(const PlannedStep& step, BuildLog::Vertex vertex,
                          const AddInstruction& add) {
  const Working working(environment_);
  const FetchOptions fetch{add.checksum, [this] { return session_.cancelled(); }};
  CopySpec spec;
  spec.from = session_.context();
  std::vector<std::unique_ptr<SourceTree>> repositories;
  for (const std::string& source : add.sources) {
    if (IsGitSource(source)) {
      TRY_ASSIGN(GitSource git, ParseGitSource(source));
      if (add.keep_git_dir) git.keep_git_dir = add.keep_git_dir;
      TRY_ASSIGN(const std::string folder, session_.NewFolder("git"));
      if (chmod(folder.c_str(), 0755) != 0) return Errno("chmod " + folder);  // it is copied
      TRY_ASSIGN(const std::string directory, FetchGit(git, folder, fetch));
      TRY_ASSIGN(auto tree, OpenDirectorySource(directory, nullptr));
      spec.checked_out.push_back(tree.get());
      repositories.push_back(std::move(tree));
    } else if (IsHttpSource(source)) {
      TRY_ASSIGN(const std::string folder, session_.NewFolder("fetch"));
      TRY_ASSIGN(FetchedFile file, FetchFile(source, folder, fetch));
      spec.fetched.push_back(std::move(file));
    } else {
      spec.sources.push_back(source);
    }
  }
  if (spec.from == nullptr && !spec.sources.empty())
    return Invalid("there is no build context to add " + spec.sources.front() + " from", ENOENT);
  spec.heredocs = add.heredocs;
  spec.destination = Absolute(step, add.destination);
  spec.chown = add.chown;
  spec.chmod = add.chmod;
  spec.exclude = add.exclude;
  spec.link = add.link;
  spec.is_add = true;
  spec.unpack = add.unpack;
  return CopyLayer(step, vertex, std::move(spec));
}

// BuildKit makes what is missing of it, as the image's user.
Result<> StageRunner::MakeWorkdir(const PlannedStep& step, BuildLog::Vertex vertex) {
  const Working working(environment_);
  const EmptyTree empty;
  CopySpec spec;
  spec.from = &empty;
  spec.sources = {"/"};
  spec.destination = step.working_dir + "/";
  spec.chown = step.user;
  return CopyLayer(step, vertex, std::move(spec));
}

Result<BaseImage> StageRunner::ImageNamed(const std::string& name) {
  const auto image = tools::ResolveImage(cache_.store(), name);
  if (!image) {
    return Invalid(name +
                       ": not found in the store; load it with 'veneer load' (there is no "
                       "registry client yet)",
                   ENOENT);
  }
  return ReadBaseImage(cache_.store(), image->id);
}

Result<std::vector<DiffId>> StageRunner::LayersOf(const StageSource& source) {
  TRY_ASSIGN(MountSource found, MountSourceOf(source, ""));
  return std::move(found.layers);
}

Result<MountSource> StageRunner::MountSourceOf(const StageSource& source, const std::string& path) {
  const SourceTree* tree = session_.context();
  std::unique_ptr<SourceTree> directory;
  switch (source.kind) {
    case StageSource::Kind::kScratch:
      return MountSource{{}, path};
    case StageSource::Kind::kStage: {
      TRY_ASSIGN(StageResult result, environment_.await(source.stage));
      return MountSource{std::move(result.layers), path};
    }
    case StageSource::Kind::kImage: {
      TRY_ASSIGN(BaseImage image, ImageNamed(source.name));
      return MountSource{std::move(image.layers), path};
    }
    case StageSource::Kind::kNamedContext: {
      const NamedContext* const context = FindContext(session_.settings().contexts, source.name);
      if (context == nullptr) return Fail(ENOENT, "build context " + source.name);
      if (context->image) return MountSource{context->image->layers, path};
      TRY_ASSIGN(directory, OpenDirectorySource(context->directory, context->ignore.get()));
      tree = directory.get();
      break;
    }
    case StageSource::Kind::kBuildContext:
      break;
  }
  if (tree == nullptr) return Invalid("there is no build context to mount from", ENOENT);
  // What symlinks lead to, so that the layer has it.
  auto real = FollowLinks(*tree, SourcePath(path));
  if (!real) {
    if (real.error().code() == ENOENT) return SourceNotFound(SourcePath(path));
    return std::unexpected(real.error());
  }
  CopySpec spec;
  spec.from = tree;
  spec.sources = {"/" + *real};
  spec.literal = true;
  spec.destination = "/";
  spec.parents = !real->empty();
  spec.link = true;
  TRY_ASSIGN(CachedChain chain,
             cache_.OfCopy(std::move(spec), "context for RUN --mount", session_.settings().epoch));
  return MountSource{std::move(chain.layers), "/" + *real};
}

// Nothing for the build context, which the session has.
Result<std::unique_ptr<SourceTree>> StageRunner::TreeOf(const StageSource& source) {
  if (source.kind == StageSource::Kind::kBuildContext) return std::unique_ptr<SourceTree>();
  if (source.kind == StageSource::Kind::kNamedContext) {
    const NamedContext* const context = FindContext(session_.settings().contexts, source.name);
    if (context != nullptr && !context->image)
      return OpenDirectorySource(context->directory, context->ignore.get());
  }
  TRY_ASSIGN(const std::vector<DiffId> layers, LayersOf(source));
  TRY_ASSIGN(auto tree, cache_.Tree(layers));
  return OpenChainSource(cache_.store(), std::move(tree));
}

}  // namespace veneer::build
