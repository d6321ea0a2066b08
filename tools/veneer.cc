// veneer: the command. Words, output and exit statuses are Docker's where Docker has them.
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <csignal>
#include <exception>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "tools/arguments.h"
#include "tools/build/cmd_build.h"
#include "tools/build/cmd_builder.h"
#include "tools/build/isolation.h"
#include "tools/commands.h"
#include "tools/context.h"

namespace veneer::tools {
namespace {

void AddImageGroup(CLI::App& app, Context& context) {
  CLI::App* image = app.add_subcommand("image", "Manage images")->require_subcommand(1);
  AddImages(*image, context, "ls");
  build::AddBuild(*image, context);
  AddLoad(*image, context);
  AddSave(*image, context);
  AddImport(*image, context);
  AddInspect(*image, context, Inspectable::kImage);
  AddHistory(*image, context);
  AddTag(*image, context);
  AddRemoveImage(*image, context, "rm");
}

void AddContainerGroup(CLI::App& app, Context& context) {
  CLI::App* container = app.add_subcommand("container", "Manage containers")->require_subcommand(1);
  AddCreate(*container, context);
  AddList(*container, context, "ls");
  AddRemove(*container, context);
  AddMount(*container, context);
  AddUnmount(*container, context);
  AddDiff(*container, context);
  AddCommit(*container, context);
  AddExport(*container, context);
  AddInspect(*container, context, Inspectable::kContainer);
}

void AddSystemGroup(CLI::App& app, Context& context) {
  CLI::App* system = app.add_subcommand("system", "Manage the store")->require_subcommand(1);
  AddDiskUsage(*system, context);
  AddCheck(*system, context);
  AddPrune(*system, context);
}

// Of a chain every layer's files are open at once; select(2), the reason for a low limit, is not
// used here.
void RaiseFileLimit() {
  rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  (void)setrlimit(RLIMIT_NOFILE, &limit);
}

int Main(int argc, char** argv) {
  std::signal(SIGPIPE,
              SIG_IGN);  // a reader that went away is an error of write(2), told like any other
  RaiseFileLimit();
  Context context;
  context.isolate = build::RunIsolated;
  CLI::App app("Container images on copy-on-write layers: load, mount, change, commit, save.",
               "veneer");
  app.option_defaults()->always_capture_default(false);
  app.set_version_flag("-v,--version", std::string("veneer version ") + VENEER_VERSION);
  app.add_option("--root", context.root,
                 "Store directory (default: $VENEER_ROOT, else /var/lib/veneer for root, "
                 "else $XDG_DATA_HOME/veneer)");
  app.require_subcommand(1);
  app.fallthrough(false);

  build::AddBuild(app, context);
  build::AddBuilderGroup(app, context);
  AddLoad(app, context);
  AddSave(app, context);
  AddImport(app, context);
  AddExport(app, context);
  AddImages(app, context, "images");
  AddInspect(app, context, Inspectable::kAny);
  AddHistory(app, context);
  AddTag(app, context);
  AddRemoveImage(app, context, "rmi");
  AddCreate(app, context);
  AddList(app, context, "ps");
  AddRemove(app, context);
  AddMount(app, context);
  AddUnmount(app, context);
  AddDiff(app, context);
  AddCommit(app, context);
  AddVersion(app, context);
  AddImageGroup(app, context);
  AddContainerGroup(app, context);
  AddSystemGroup(app, context);
  AddDebug(app, context);

  try {
    std::vector<std::string> arguments = DockerArguments(app, argc, argv);
    std::reverse(arguments.begin(), arguments.end());  // as CLI11 takes them
    app.parse(std::move(arguments));
  } catch (const CLI::Success& e) {  // --help, --version
    return app.exit(e);
  } catch (const CLI::Error& e) {
    std::string text = e.what();
    if (e.get_name() == "ExtrasError" && app.get_subcommands().empty() && argc > 1) {
      text = "'" + std::string(argv[1]) + "' is not a veneer command";
    }
    Context::Complain(text + "; see 'veneer --help'");
    return kExitUsage;
  }
  return context.Finish();
}

}  // namespace
}  // namespace veneer::tools

int main(int argc, char** argv) {
  try {
    return veneer::tools::Main(argc, argv);
  } catch (const std::bad_alloc&) {
    veneer::tools::Context::Complain("out of memory");
  } catch (const std::exception& e) {
    veneer::tools::Context::Complain(e.what());
  }
  return veneer::tools::kExitError;
}
