// build.
#include "tools/build/cmd_build.h"

#include <fcntl.h>

#include <climits>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "store/base/beneath.h"
#include "tools/build/build_flags.h"
#include "tools/build/build_input.h"
#include "tools/build/build_options.h"
#include "tools/build/check.h"
#include "tools/build/docker_flags.h"
#include "tools/build/dockerfile_file.h"
#include "tools/build/isolation.h"
#include "tools/build/language/parser.h"
#include "tools/build/language/source_excerpt.h"
#include "tools/build/run_build.h"
#include "tools/build/store_image.h"

namespace veneer::build {
namespace {

// The error for the last line, after the excerpts it comes with.
std::unexpected<Error> Report(const DockerfileFile& file, const DockerfileError& error) {
  std::fflush(stdout);
  std::fputs(ErrorExcerpts(file.name, file.text, error).c_str(), stderr);
  return Invalid(error.message);
}

// What a context that is elsewhere is brought to, to be looked at: no part of the store.
class ScratchFolder {
 public:
  static Result<ScratchFolder> Create() {
    const char* const temporary = std::getenv("TMPDIR");
    std::string path = std::string(temporary != nullptr && *temporary != 0 ? temporary : "/tmp") +
                       "/veneer-check-XXXXXX";
    if (mkdtemp(path.data()) == nullptr) return Errno("temporary folder " + path);
    ScratchFolder folder(path);
    char real[PATH_MAX];
    if (realpath(path.c_str(), real) == nullptr) return Errno("temporary folder " + path);
    folder.path_ = real;
    return folder;
  }
  ScratchFolder(ScratchFolder&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  ScratchFolder& operator=(ScratchFolder&&) = delete;
  ~ScratchFolder() {
    if (!path_.empty()) (void)RemoveTree(AT_FDCWD, path_);
  }
  const std::string& path() const { return path_; }

 private:
  explicit ScratchFolder(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

Result<> PrintAst(tools::Context& context, const DockerfileFile& file) {
  const Located<ParsedDockerfile> parsed = ParseDockerfile(file.text);
  if (!parsed) return Report(file, parsed.error());
  context.Print(Dump(parsed->root) + "\n");
  return {};
}

Result<> Check(tools::Context& context, const BuildInput& input, BuildOptions options) {
  options.base_image = [&context](const std::string& name) { return FindBaseImage(context, name); };
  const CheckReport report = CheckDockerfile(input.dockerfile.text, input.ignore_text, options);
  const DockerfileFile& file = input.dockerfile;
  context.Print(FormatWarnings(file.name, file.text, report));
  if (report.error) {
    if (!report.warnings.empty()) context.Print("\n");
    return Report(file, *report.error);
  }
  if (!report.warnings.empty()) context.Fail();
  return {};
}

// What --check and --print-ast do.
Result<> LookAt(tools::Context& context, const BuildFlags& flags, const std::string& scratch) {
  TRY_ASSIGN(BuildOptions options, ReadBuildOptions(flags));
  TRY(ReadSettings(flags, options));
  TRY_ASSIGN(const BuildInput input,
             OpenBuildInput(flags.file, flags.context, scratch, KeepsGitDir(options),
                            [] { return WasInterrupted(); }));
  if (flags.print_ast) return PrintAst(context, input.dockerfile);
  return Check(context, input, std::move(options));
}

// The same of a context that is brought here first, by processes that end with the command.
int BringAndLookAt(tools::Context& context, const BuildFlags& flags) {
  const Result<> done = [&]() -> Result<> {
    TRY_ASSIGN(const ScratchFolder scratch, ScratchFolder::Create());
    return LookAt(context, flags, scratch.path());
  }();
  if (done) return context.Finish();
  tools::Context::Complain(WasInterrupted() ? "interrupted" : done.error().Message());
  return WasInterrupted() ? 130 : tools::kExitError;
}

Result<> Run(tools::Context& context, const BuildFlags& flags) {
  TRY(CheckDockerFlags(flags));
  const bool looks = flags.print_ast || WantsCheck(flags);
  if (flags.print_ast && WantsCheck(flags))
    throw tools::UsageError("--print-ast excludes --check and --call=check");
  if (looks && !IsElsewhere(flags.context)) return LookAt(context, flags, "");
  TRY_ASSIGN(const int status, RunIsolated([&] {
               return looks ? BringAndLookAt(context, flags) : RunBuild(flags, context.root);
             }));
  context.Exit(status);
  return {};
}

void AddInputs(CLI::App* c, BuildFlags& flags) {
  const auto several = [&](const char* name, std::vector<std::string>& values, const char* text) {
    c->add_option(name, values, text)->allow_extra_args(false);
  };
  c->add_option("context", flags.context,
                "Build context: a directory (default: .), a git repository, the URL of an archive, "
                "or - for an archive or a Dockerfile on standard input");
  c->add_option("-f,--file", flags.file,
                "Dockerfile, or - for standard input (default: CONTEXT/Dockerfile)");
  several("--build-context", flags.contexts,
          "Named context: NAME=DIRECTORY, docker-image://IMAGE, oci-layout://DIRECTORY, an image "
          "archive, a git repository or a URL");
  c->add_option("--target", flags.target, "Stage to build (default: the last)");
  several("--build-arg", flags.build_args, "Value of an ARG: NAME=VALUE, or NAME alone");
  several("--label", flags.labels, "Label of the image: NAME=VALUE");
  several("--platform", flags.platforms,
          "Platform of the image: linux/arm64, local (default: $DOCKER_DEFAULT_PLATFORM, else the "
          "host's)");
  several("--secret", flags.secrets,
          "Secret for RUN --mount=type=secret: id=ID[,src=FILE|,env=NAME]");
  several("--ssh", flags.ssh, "Agent for RUN --mount=type=ssh: default, or ID=SOCKET|KEY[,KEY]");
}

void AddSurroundings(CLI::App* c, BuildFlags& flags) {
  const auto several = [&](const char* name, std::vector<std::string>& values, const char* text) {
    c->add_option(name, values, text)->allow_extra_args(false);
  };
  c->add_option("--network", flags.network,
                "Network of RUN: default and host (the host's), or none");
  several("--add-host", flags.add_hosts, "Line of /etc/hosts while commands run: NAME:ADDRESS");
  c->add_option("--shm-size", flags.shm_size, "Size of /dev/shm while commands run: 64m");
  several("--ulimit", flags.ulimits, "Limit while commands run: nofile=1024:2048");
  several("--allow", flags.allow,
          "What RUN may do besides: security.insecure, network.host (it may anyway)");
  c->add_flag("--no-cache", flags.no_cache, "Use nothing of the build cache");
  several("--no-cache-filter", flags.no_cache_filter,
          "Use nothing of the build cache for these stages: STAGE[,STAGE]");
  several("--cache-from", flags.cache_from, "Build cache to use, too: type=local,src=DIRECTORY");
  several("--cache-to", flags.cache_to,
          "Where to put the build's cache: type=local,dest=DIRECTORY[,mode=max]");
  c->add_option("--jobs", flags.jobs, "Steps at a time (default: all that can)");
  c->add_flag("--pull", flags.pull, "Needs a registry client, which is not there yet");
}

void AddOutputs(CLI::App* c, BuildFlags& flags) {
  const auto several = [&](const char* name, std::vector<std::string>& values, const char* text) {
    c->add_option(name, values, text)->allow_extra_args(false);
  };
  several("-t,--tag", flags.tags, "Name of the image: NAME[:TAG]");
  several("-o,--output", flags.outputs,
          "Where the result goes (default: an image): type=image|oci|docker|tar|local[,dest=PATH], "
          "a directory, or - for a tar");
  c->add_flag("--load")->description("The image is in the store anyway");
  c->add_flag("--push", flags.push, "Needs a registry client, which is not there yet");
  c->add_flag("--squash", flags.squash, "Make one layer of all that the build adds");
  c->add_option("--iidfile", flags.iidfile, "File for the image's ID");
  c->add_option("--metadata-file", flags.metadata_file,
                "File for what is known of the result (JSON)");
  c->add_flag("-q,--quiet", flags.quiet, "Print the image's ID alone");
  c->add_option("--progress", flags.progress,
                "What is shown: auto, plain, tty, rawjson, quiet (default: $BUILDKIT_PROGRESS, "
                "else auto)");
  CLI::Option* check = c->add_flag(
      "--check", flags.check, "Warn of what is better avoided, by BuildKit's rules; exit 1 if so");
  c->add_flag("--print-ast", flags.print_ast,
              "Print the syntax tree as S-expressions, as BuildKit's parser dumps it")
      ->excludes(check);
  c->add_flag("--rm,--force-rm")->description("Nothing is ever left, so this changes nothing");
}

}  // namespace

void AddBuild(CLI::App& parent, tools::Context& context) {
  auto flags = std::make_shared<BuildFlags>();
  CLI::App* c = parent.add_subcommand("build", "Build an image from a Dockerfile");
  AddInputs(c, *flags);
  AddSurroundings(c, *flags);
  AddOutputs(c, *flags);
  AddDockerFlags(c, *flags);
  context.Run(c, [flags, &context] { return Run(context, *flags); });
}

}  // namespace veneer::build
