// create, ps, rm, diff, commit.
#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <memory>
#include <optional>

#include "store/base/beneath.h"
#include "store/commit.h"
#include "store/container_store.h"
#include "store/image_reference.h"
#include "store/upper_walk.h"
#include "tools/change_instruction.h"
#include "tools/commands.h"
#include "tools/creation_time.h"
#include "tools/image_lookup.h"
#include "tools/mounter.h"
#include "tools/progress.h"
#include "tools/table.h"
#include "tools/units.h"

namespace veneer::tools {
namespace {

struct CreateFlags {
  std::string name;
  std::string image;
};

Result<> Create(Context& context, const CreateFlags& flags) {
  TRY_ASSIGN(Store * store, context.OpenStore());
  auto image = ResolveImage(*store, flags.image);
  if (!image) {
    if (image.error().code() != ENOENT) return std::unexpected(image.error());
    return Invalid(image.error().Message() + "; load it with 'veneer load'", ENOENT);
  }
  TRY_ASSIGN(ContainerRow container, CreateContainer(*store, image->id, flags.image, flags.name));
  context.Print(container.id + "\n");
  return {};
}

struct ListFlags {
  std::vector<std::string> filters;
  std::string format;
  bool all = false, quiet = false, no_trunc = false;
};

const Json kContainerHeaders = {{"ID", "CONTAINER ID"},    {"Image", "IMAGE"},
                                {"Command", "COMMAND"},    {"CreatedAt", "CREATED AT"},
                                {"RunningFor", "CREATED"}, {"Status", "STATUS"},
                                {"State", "STATE"},        {"Mountpoint", "MOUNTPOINT"},
                                {"Names", "NAMES"},        {"Size", "SIZE"}};

// The command line a container would run, as `ps` shows it.
std::string CommandOf(const ContainerRow& container) {
  Json config = Json::parse(container.config, nullptr, /*allow_exceptions=*/false);
  std::string line;
  for (const char* key : {"Entrypoint", "Cmd"}) {
    if (!config.is_object() || !config.contains(key) || !config[key].is_array()) continue;
    for (const Json& word : config[key]) {
      if (word.is_string()) line += (line.empty() ? "" : " ") + word.get<std::string>();
    }
  }
  return line;
}

Result<bool> Matches(const ContainerRow& container, const std::string& state,
                     const std::vector<std::string>& filters) {
  for (const std::string& filter : filters) {
    size_t eq = filter.find('=');
    if (eq == filter.npos)
      return Invalid("invalid argument \"" + filter + "\": a filter is of the form name=value");
    std::string key = filter.substr(0, eq), value = filter.substr(eq + 1);
    bool keep;
    if (key == "name") {
      keep = container.name.find(value) != std::string::npos;
    } else if (key == "id") {
      keep = container.id.starts_with(value);
    } else if (key == "status") {
      keep = state == value;
    } else if (key == "ancestor") {
      keep = container.image_name == value || container.image.Hex().starts_with(value);
    } else {
      return Invalid("invalid filter '" + key + "'; known are ancestor, id, name, status");
    }
    if (!keep) return false;
  }
  return true;
}

Result<> List(Context& context, const ListFlags& flags) {
  TRY_ASSIGN(Store * store, context.OpenStore());
  TRY_ASSIGN(auto containers, store->catalog().Containers());
  std::vector<Json> data;
  for (const ContainerRow& container : containers) {
    auto mounted = MountPathOf(*store, container);
    std::string path = mounted ? *mounted : "(elsewhere)";
    std::string state = path.empty() ? "created" : "mounted";
    TRY_ASSIGN(bool keep, Matches(container, state, flags.filters));
    if (!keep) continue;
    std::string id = flags.no_trunc ? container.id : ShortId(container.id);
    if (flags.quiet) {
      context.Print(id + "\n");
      continue;
    }
    std::string command = CommandOf(container);
    data.push_back(
        Json{{"Command", "\"" + (flags.no_trunc ? command : Ellipsis(command, 20)) + "\""},
             {"CreatedAt", FormatLocalTime(container.created_at)},
             {"ID", id},
             {"Image", container.image_name},
             {"Mountpoint", path},
             {"Names", container.name},
             {"RunningFor", HumanSince(container.created_at, std::time(nullptr))},
             {"State", state},
             {"Status", path.empty() ? "Created" : "Mounted at " + path}});
  }
  if (flags.quiet) return {};
  TRY_ASSIGN(
      std::string text,
      FormatRows(
          flags.format,
          "table {{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Names}}",
          kContainerHeaders, data));
  context.Print(text);
  return {};
}

Result<> RemoveOne(Context& context, Store& store, const std::string& name, bool force) {
  TRY_ASSIGN(ContainerRow container, FindContainer(store, name));
  TRY_ASSIGN(std::string path, MountPathOf(store, container));
  if (!path.empty()) {
    if (!force) {
      return Invalid("container " + container.name + " is mounted at " + path +
                         "; 'veneer umount " + container.name + "' first, or rm -f",
                     EBUSY);
    }
    TRY(Unmount(path, UpperPath(store, container)));
  }
  TRY(RemoveContainer(store, container));
  context.Print(name + "\n");
  return {};
}

Result<std::unique_ptr<tree::MergedTree>> ChainOf(Store& store, const ContainerRow& container) {
  TRY_ASSIGN(auto row, store.catalog().FindImage(container.image));
  if (!row) return Invalid("the image of container " + container.name + " is missing", ENOENT);
  TRY_ASSIGN(ImageConfig config, ImageConfig::Parse(row->config));
  return store.chains().Open(config.diff_ids);
}

Result<> Diff(Context& context, const std::string& name) {
  TRY_ASSIGN(Store * store, context.OpenStore());
  TRY_ASSIGN(ContainerRow container, FindContainer(*store, name));
  TRY_ASSIGN(auto chain, ChainOf(*store, container));
  TRY_ASSIGN(UniqueFd upper,
             OpenAt(AT_FDCWD, UpperPath(*store, container), O_RDONLY | O_DIRECTORY));
  std::vector<std::pair<std::string, char>> changes;
  TRY(WalkUpper(upper.get(), *chain, [&](const UpperChange& change) -> Result<> {
    if (!change.path.empty()) changes.emplace_back(change.path, static_cast<char>(change.kind));
    return {};
  }));
  std::sort(changes.begin(), changes.end());
  for (const auto& [path, kind] : changes) context.Print(fmt::format("{} /{}\n", kind, path));
  return {};
}

struct CommitFlags {
  std::string container;
  std::string reference;
  std::string message;
  std::string author;
  std::vector<std::string> changes;
  bool pause = true;
  bool quiet = false;
};

Result<> Commit(Context& context, const CommitFlags& flags) {
  CommitOptions options;
  options.author = flags.author;
  options.message = flags.message;
  options.created = CreationTime();
  if (!flags.reference.empty()) {
    TRY_ASSIGN(ImageReference reference, ImageReference::Parse(flags.reference));
    if (reference.digest()) return Invalid("refusing to create a tag with a digest reference");
    options.reference = reference.Canonical();
  }
  TRY_ASSIGN(Store * store, context.OpenStore());
  TRY_ASSIGN(ContainerRow container, FindContainer(*store, flags.container));
  options.config =
      nlohmann::ordered_json::parse(container.config, nullptr, /*allow_exceptions=*/false);
  if (!options.config.is_object()) options.config = nlohmann::ordered_json::object();
  TRY(ApplyChanges(flags.changes, options.config));

  Progress progress(flags.quiet);
  options.on_bytes = [&](uint64_t n) { progress.Add(n); };
  TRY_ASSIGN(std::string path, MountPathOf(*store, container));
  std::optional<FrozenMount> frozen;
  if (!path.empty() && flags.pause) {
    TRY_ASSIGN(frozen, FrozenMount::Freeze(path));
    options.fixed = [&] { return frozen->Thaw(); };
  }
  progress.Start("Committing", 0);
  auto id = CommitContainer(*store, container, options);
  progress.Done();
  if (!id)
    return Invalid("cannot commit " + container.name + ": " + id.error().Message(),
                   id.error().code());
  context.Print(id->ToString() + "\n");
  return {};
}

}  // namespace

void AddCreate(CLI::App& parent, Context& context) {
  auto flags = std::make_shared<CreateFlags>();
  CLI::App* c = parent.add_subcommand("create", "Make a container: a writable layer over an image");
  c->add_option("--name", flags->name, "Name of the container (default: a generated one)");
  c->add_option("IMAGE", flags->image, "Name or ID of the image")->required();
  context.Run(c, [&context, flags] { return Create(context, *flags); });
}

void AddList(CLI::App& parent, Context& context, const std::string& name) {
  auto flags = std::make_shared<ListFlags>();
  CLI::App* c = parent.add_subcommand(name, "List containers");
  if (name == "ls") c->alias("list");
  c->add_flag("-a,--all", flags->all,
              "All containers (the default here: containers are mounted, not run)");
  c->add_flag("-q,--quiet", flags->quiet, "IDs only");
  c->add_flag("--no-trunc", flags->no_trunc, "Whole IDs and commands");
  c->add_option("-f,--filter", flags->filters, "ancestor=, id=, name=, status=created|mounted")
      ->allow_extra_args(false);
  c->add_option("--format", flags->format, "table, json, or a Go template");
  context.Run(c, [&context, flags] { return List(context, *flags); });
}

void AddRemove(CLI::App& parent, Context& context) {
  auto names = std::make_shared<std::vector<std::string>>();
  auto force = std::make_shared<bool>(false);
  CLI::App* c = parent.add_subcommand("rm", "Remove containers and what they changed");
  c->alias("remove");
  c->add_option("CONTAINER", *names, "Names or IDs")->required();
  c->add_flag("-f,--force", *force, "Unmount first");
  context.Run(c, [&context, names, force]() -> Result<> {
    TRY_ASSIGN(Store * store, context.OpenStore());
    Result<> outcome;
    for (const std::string& name : *names) {
      auto removed = RemoveOne(context, *store, name, *force);
      if (removed) continue;
      if (!outcome) Context::Complain(outcome.error().Message());
      outcome = std::unexpected(removed.error());
    }
    return outcome;
  });
}

void AddDiff(CLI::App& parent, Context& context) {
  auto name = std::make_shared<std::string>();
  CLI::App* c =
      parent.add_subcommand("diff", "List what a container changed: A added, C changed, D deleted");
  c->add_option("CONTAINER", *name, "Name or ID")->required();
  context.Run(c, [&context, name] { return Diff(context, *name); });
}

void AddCommit(CLI::App& parent, Context& context) {
  auto flags = std::make_shared<CommitFlags>();
  CLI::App* c = parent.add_subcommand("commit", "Make an image of a container's changes");
  c->add_option("CONTAINER", flags->container, "Name or ID")->required();
  c->add_option("REFERENCE", flags->reference, "Name of the image (default: none)");
  c->add_option("-m,--message", flags->message, "Comment of the history entry");
  c->add_option("-a,--author", flags->author, "Author, e.g. \"Ann <ann@example.com>\"");
  c->add_option("-c,--change", flags->changes,
                "Dockerfile instruction to apply: CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, ONBUILD, "
                "STOPSIGNAL, USER, "
                "VOLUME, WORKDIR")
      ->allow_extra_args(false);
  c->add_flag("-p,--pause,!--no-pause", flags->pause,
              "Hold changes up while the container is read (default)");
  c->add_flag("-q,--quiet", flags->quiet, "No progress");
  context.Run(c, [&context, flags] { return Commit(context, *flags); });
}

}  // namespace veneer::tools
