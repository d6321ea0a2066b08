// build --check, --print-ast.
#include "tools/build/cmd_build.h"

#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "tools/build/check.h"
#include "tools/build/dockerfile_file.h"
#include "tools/build/parser.h"
#include "tools/build/source_excerpt.h"
#include "tools/build/store_image.h"

namespace veneer::build {
namespace {

struct Flags {
  std::string file;
  std::string context = ".";
  std::string target;
  std::string platform;
  std::vector<std::string> build_args;
  std::vector<std::string> contexts;
  std::vector<std::string> tags;
  bool print_ast = false;
  bool check = false;
};

// The error for the last line, after the excerpts it comes with.
std::unexpected<Error> Report(const DockerfileFile& file, const DockerfileError& error) {
  std::fflush(stdout);
  std::fputs(ErrorExcerpts(file.name, file.text, error).c_str(), stderr);
  return Invalid(error.message);
}

Result<BuildOptions> Options(tools::Context& context, const Flags& flags) {
  BuildOptions options;
  options.target = flags.target;
  for (const std::string& arg : flags.build_args) {
    const size_t equals = arg.find('=');
    const std::string name = arg.substr(0, equals);
    if (equals != std::string::npos) {
      options.build_args[name] = arg.substr(equals + 1);
    } else if (const char* const value = std::getenv(name.c_str())) {
      options.build_args[name] = value;  // as Docker: the name alone stands for our environment's
    }
  }
  for (const std::string& named : flags.contexts) {
    const size_t equals = named.find('=');
    if (equals == std::string::npos || equals == 0)
      throw tools::UsageError("--build-context: NAME=VALUE expected, not " + named);
    options.contexts.insert(named.substr(0, equals));
  }
  if (!flags.platform.empty()) {
    TRY_ASSIGN(options.platform, ParsePlatform(flags.platform));
  }
  options.base_image = [&context](const std::string& name) { return FindBaseImage(context, name); };
  return options;
}

Result<> PrintAst(tools::Context& context, const DockerfileFile& file) {
  const Located<ParsedDockerfile> parsed = ParseDockerfile(file.text);
  if (!parsed) return Report(file, parsed.error());
  context.Print(Dump(parsed->root) + "\n");
  return {};
}

Result<> Check(tools::Context& context, const DockerfileFile& file, const std::string& ignore_text,
               const BuildOptions& options) {
  const CheckReport report = CheckDockerfile(file.text, ignore_text, options);
  context.Print(FormatWarnings(file.name, file.text, report));
  if (report.error) {
    if (!report.warnings.empty()) context.Print("\n");
    return Report(file, *report.error);
  }
  if (!report.warnings.empty()) context.Fail();
  return {};
}

Result<> Run(tools::Context& context, const Flags& flags) {
  if (!flags.print_ast && !flags.check) {
    return Invalid("building images is not there yet; what works is --check and --print-ast",
                   ENOTSUP);
  }
  TRY_ASSIGN(const DockerfileFile file, ReadDockerfile(flags.file, flags.context));
  if (flags.print_ast) return PrintAst(context, file);
  TRY_ASSIGN(const std::string ignore_text, ReadIgnoreFile(file, flags.context));
  TRY_ASSIGN(const BuildOptions options, Options(context, flags));
  return Check(context, file, ignore_text, options);
}

}  // namespace

void AddBuild(CLI::App& parent, tools::Context& context) {
  auto flags = std::make_shared<Flags>();
  CLI::App* c =
      parent.add_subcommand("build", "Check a Dockerfile (building from it is not there yet)");
  c->add_option("context", flags->context,
                "Build context: a directory (default: .), or - for a Dockerfile on standard input");
  c->add_option("-f,--file", flags->file,
                "Dockerfile, or - for standard input (default: CONTEXT/Dockerfile)");
  c->add_option("--target", flags->target, "Stage to look at, and what it needs (default: all)");
  c->add_option("--build-arg", flags->build_args, "Value of an ARG: NAME=VALUE, or NAME alone")
      ->allow_extra_args(false);
  c->add_option("--build-context", flags->contexts, "Named context: NAME=VALUE")
      ->allow_extra_args(false);
  c->add_option("--platform", flags->platform, "Platform of the image (default: the host's)");
  c->add_option("-t,--tag", flags->tags, "Name of the image (for when building is there)")
      ->allow_extra_args(false);
  CLI::Option* check = c->add_flag(
      "--check", flags->check, "Warn of what is better avoided, by BuildKit's rules; exit 1 if so");
  c->add_flag("--print-ast", flags->print_ast,
              "Print the syntax tree as S-expressions, as BuildKit's parser dumps it")
      ->excludes(check);
  context.Run(c, [flags, &context] { return Run(context, *flags); });
}

}  // namespace veneer::build
