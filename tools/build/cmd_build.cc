// build --print-ast.
#include "tools/build/cmd_build.h"

#include <cstdio>
#include <memory>
#include <string>

#include "tools/build/dockerfile_file.h"
#include "tools/build/parser.h"
#include "tools/build/source_excerpt.h"

namespace veneer::build {
namespace {

struct Flags {
  std::string file;
  std::string context = ".";
  std::vector<std::string> tags;
  bool print_ast = false;
};

// The error for the last line, after the excerpts it comes with.
std::unexpected<Error> Report(const DockerfileFile& file, const DockerfileError& error) {
  std::fputs(ErrorExcerpts(file.name, file.text, error).c_str(), stderr);
  return Invalid(error.message);
}

Result<> PrintAst(tools::Context& context, const DockerfileFile& file) {
  const Located<ParsedDockerfile> parsed = ParseDockerfile(file.text);
  if (!parsed) return Report(file, parsed.error());
  context.Print(Dump(parsed->root) + "\n");
  return {};
}

Result<> Run(tools::Context& context, const Flags& flags) {
  if (!flags.print_ast) {
    return Invalid("building images is not there yet; what works is --print-ast", ENOTSUP);
  }
  TRY_ASSIGN(const DockerfileFile file, ReadDockerfile(flags.file, flags.context));
  return PrintAst(context, file);
}

}  // namespace

void AddBuild(CLI::App& parent, tools::Context& context) {
  auto flags = std::make_shared<Flags>();
  CLI::App* c = parent.add_subcommand(
      "build", "Read a Dockerfile (building from it is not there yet: see --print-ast)");
  c->add_option("context", flags->context,
                "Build context: a directory, or - for none (default: .)");
  c->add_option("-f,--file", flags->file,
                "Dockerfile, or - for standard input (default: CONTEXT/Dockerfile)");
  c->add_option("-t,--tag", flags->tags, "Name of the image (for when building is there)");
  c->add_flag("--print-ast", flags->print_ast,
              "Print the syntax tree as S-expressions, as BuildKit's parser dumps it");
  context.Run(c, [flags, &context] { return Run(context, *flags); });
}

}  // namespace veneer::build
