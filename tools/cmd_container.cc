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
#include "store/directory.h"
#include "store/disk_usage.h"
#include "store/image_reference.h"
#include "store/json.h"
#include "store/lease.h"
#include "store/markers.h"
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
  bool all = false, quiet = false, no_trunc = false, size = false;
};

const Json kContainerHeaders = {{"ID", "CONTAINER ID"},    {"Image", "IMAGE"},
                                {"Command", "COMMAND"},    {"CreatedAt", "CREATED AT"},
                                {"RunningFor", "CREATED"}, {"Status", "STATUS"},
                                {"State", "STATE"},        {"Mountpoint", "MOUNTPOINT"},
                                {"Names", "NAMES"},        {"Size", "SIZE"},
                                {"Labels", "LABELS"},      {"LocalVolumes", "LOCAL VOLUMES"},
                                {"Mounts", "MOUNTS"},      {"Networks", "NETWORKS"},
                                {"Ports", "PORTS"}};

// The command line a container would run, as `ps` shows it.
std::string CommandOf(const Json& config) {
  std::string line;
  for (const char* key : {"Entrypoint", "Cmd"}) {
    if (!config.is_object() || !config.contains(key) || !config[key].is_array()) continue;
    for (const Json& word : config[key]) {
      if (word.is_string()) line += (line.empty() ? "" : " ") + word.get<std::string>();
    }
  }
  return line;
}

// "name=value,name=value", sorted.
std::string LabelsOf(const Json& config) {
  if (!config.is_object() || !config.contains("Labels") || !config["Labels"].is_object()) return "";
  std::string line;
  for (const auto& [name, value] : SortedMembers(config["Labels"])) {
    if (value->is_string())
      line += (line.empty() ? "" : ",") + *name + "=" + value->get<std::string>();
  }
  return line;
}

// As docker ps -s: what the container wrote, and that with its image.
Result<std::string> SizeOf(Store& store, const ContainerRow& container) {
  TRY_ASSIGN(uint64_t own, AllocatedBytes(AT_FDCWD, UpperPath(store, container)));
  TRY_ASSIGN(ImageFacts image, DescribeImage(store, container.image));
  return HumanSize(own) + " (virtual " + HumanSize(own + static_cast<uint64_t>(image.size)) + ")";
}

struct Filter {
  std::string key, value;
};

std::vector<Filter> ParseFilters(const std::vector<std::string>& texts) {
  std::vector<Filter> filters;
  for (const std::string& text : texts) {
    if (text.empty()) continue;
    size_t eq = text.find('=');
    if (eq == text.npos)
      throw UsageError("invalid argument \"" + text + "\": a filter is of the form name=value");
    Filter filter{text.substr(0, eq), text.substr(eq + 1)};
    if (filter.key != "name" && filter.key != "id" && filter.key != "status" &&
        filter.key != "ancestor") {
      throw UsageError("invalid filter '" + filter.key + "'; known are ancestor, id, name, status");
    }
    filters.push_back(filter);
  }
  return filters;
}

bool Matches(const ContainerRow& container, const std::string& state, const Filter& filter) {
  const auto& [key, value] = filter;
  if (key == "name") return container.name.find(value) != std::string::npos;
  if (key == "id") return container.id.starts_with(value);
  if (key == "status") return state == value;
  return container.image_name == value || container.image.Hex().starts_with(value);
}

Result<> List(Context& context, const ListFlags& flags) {
  const std::vector<Filter> filters = ParseFilters(flags.filters);
  // It takes a walk through the container's files.
  const bool size = flags.size || flags.format.find(".Size") != flags.format.npos;
  TRY_ASSIGN(Store * store, context.OpenStore());
  TRY_ASSIGN(auto containers, store->catalog().Containers());
  std::vector<Json> data;
  for (const ContainerRow& container : containers) {
    auto mounted = MountPathOf(*store, container);
    std::string path = mounted ? *mounted : "(elsewhere)";
    std::string state = path.empty() ? "created" : "mounted";
    if (!std::ranges::all_of(filters,
                             [&](const Filter& f) { return Matches(container, state, f); }))
      continue;
    std::string id = flags.no_trunc ? container.id : ShortId(container.id);
    if (flags.quiet) {
      context.Print(id + "\n");
      continue;
    }
    Json config = ParseJson(container.config).value_or(Json());
    std::string command = CommandOf(config), bytes = "0B";
    if (size) {
      TRY_ASSIGN(bytes, SizeOf(*store, container));
    }
    data.push_back(
        Json{{"Command", "\"" + (flags.no_trunc ? command : Ellipsis(command, 20)) + "\""},
             {"CreatedAt", FormatLocalTime(container.created_at)},
             {"ID", id},
             {"Image", container.image_name},
             {"Labels", LabelsOf(config)},
             {"LocalVolumes", "0"},
             {"Mounts", ""},
             {"Networks", ""},
             {"Ports", ""},
             {"Size", bytes},
             {"Mountpoint", path},
             {"Names", container.name},
             {"RunningFor", HumanSince(container.created_at, std::time(nullptr))},
             {"State", state},
             {"Status", path.empty() ? "Created" : "Mounted at " + path}});
  }
  if (flags.quiet) return {};
  std::string table =
      "table {{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Names}}";
  if (flags.size) table += "\t{{.Size}}";
  TRY_ASSIGN(std::string text, FormatRows(flags.format, table, kContainerHeaders, data));
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
  TRY_ASSIGN(WorkLease lease, WorkLease::Shared(store->root_fd()));
  TRY_ASSIGN(auto chain, ChainOf(*store, container));
  TRY_ASSIGN(UniqueFd upper,
             OpenAt(AT_FDCWD, UpperPath(*store, container), O_RDONLY | O_DIRECTORY));
  std::vector<std::pair<std::string, char>> changes;
  TRY(WalkUpper(upper.get(), *chain, [&](const UpperChange& change) -> Result<> {
    if (!change.path.empty() && !change.unchanged) {
      changes.emplace_back(change.path, static_cast<char>(change.kind));
    }
    return {};
  }));
  std::sort(changes.begin(), changes.end());
  for (const auto& [path, kind] : changes) context.Print(fmt::format("{} /{}\n", kind, path));
  return {};
}

// docs/upper-format.md "Work": the journal of a copy-up of an inode with several names, or copies
// that may not be whole.
bool IsUnfinished(Store& store, const ContainerRow& container) {
  std::string work = WorkPath(store, container);
  if (access((work + "/" + markers::kWorkPending).c_str(), F_OK) == 0) return true;
  auto names = ListDirectory(AT_FDCWD, work + "/" + markers::kWorkLinks);
  return names && std::any_of(names->begin(), names->end(),
                              [](const std::string& n) { return n.ends_with(".names"); });
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
  // What a mount that was killed was about to do is done when it is mounted again.
  std::optional<TemporaryMount> finished;
  if (path.empty() && IsUnfinished(*store, container)) {
    TRY_ASSIGN(auto mounted, TemporaryMount::Of(*store, container));
    finished.emplace(std::move(mounted));
    path = finished->path();
  }
  // Either the mount stands still while it is read, or nobody can mount it.
  std::optional<UpperLock> lock;
  bool freeze = !path.empty() && flags.pause;
  if (path.empty()) {
    TRY_ASSIGN(lock, UpperLock::Take(*store, container));
  }
  progress.Start("Committing", 0);
  // A mount with more writers than it can hold up thaws by itself: what was read then may be no
  // single state, and is not used.
  constexpr int kAttempts = 5;
  std::optional<Result<ImageId>> committed;
  for (int attempt = 1; attempt <= kAttempts; ++attempt) {
    std::optional<FrozenMount> frozen;
    if (freeze) {
      TRY_ASSIGN(frozen, FrozenMount::Freeze(path));
      options.fixed = [&] { return frozen->Thaw(); };
    }
    committed = CommitContainer(*store, container, options);
    if (*committed || !freeze || committed->error().code() != EBUSY) break;
  }
  Result<ImageId>& id = *committed;
  progress.Done();
  if (finished) TRY(finished->Release());
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
  if (name == "ls") c->alias("list")->alias("ps");
  c->add_flag("-a,--all", flags->all,
              "All containers (the default here: containers are mounted, not run)");
  c->add_flag("-q,--quiet", flags->quiet, "IDs only");
  c->add_flag("--no-trunc", flags->no_trunc, "Whole IDs and commands");
  c->add_flag("-s,--size", flags->size, "Show what each takes on disk, and with its image");
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
