// mount, umount.
#include <sys/stat.h>
#include <unistd.h>

#include <climits>
#include <cstdlib>
#include <memory>

#include "store/base/beneath.h"
#include "store/container_store.h"
#include "tools/commands.h"
#include "tools/image_lookup.h"
#include "tools/mounter.h"
#include "tools/units.h"

namespace veneer::tools {
namespace {

struct MountFlags {
  std::string what;
  std::string path;
  bool read_only = false;
};

Result<std::string> ExistingDirectory(const std::string& path) {
  char resolved[PATH_MAX];
  if (!realpath(path.c_str(), resolved)) {
    return Invalid(
        "cannot mount at '" + path + "': " + strerror(errno) + "; make the directory first", errno);
  }
  struct stat st;
  if (stat(resolved, &st) != 0 || !S_ISDIR(st.st_mode)) {
    return Invalid("cannot mount at '" + path + "': it is not a directory", ENOTDIR);
  }
  return std::string(resolved);
}

Result<> List(Context& context, Store& store) {
  TRY_ASSIGN(auto containers, store.catalog().Containers());
  for (const ContainerRow& container : containers) {
    auto path = MountPathOf(store, container);
    if (path && !path->empty()) context.Print(ShortId(container.id) + " " + *path + "\n");
  }
  return {};
}

Result<> MountImage(Store& store, const MountFlags& flags) {
  if (flags.path.empty()) throw UsageError("mount --read-only needs a PATH to mount the image at");
  TRY_ASSIGN(ResolvedImage image, ResolveImage(store, flags.what));
  TRY_ASSIGN(ImageFacts facts, DescribeImage(store, image.id));
  TRY_ASSIGN(std::string target, ExistingDirectory(flags.path));
  return Mount(store, {facts.config.diff_ids, "", "", target, "veneer:" + image.id.ToString()});
}

Result<> MountOne(Context& context, const MountFlags& flags) {
  TRY_ASSIGN(Store * store, context.OpenStore());
  if (flags.what.empty()) return List(context, *store);
  if (flags.read_only) return MountImage(*store, flags);
  TRY_ASSIGN(ContainerRow container, FindContainer(*store, flags.what));
  TRY_ASSIGN(std::string mounted, MountPathOf(*store, container));
  if (!mounted.empty()) {
    // Asked for no place in particular, it is where it is: as podman mount.
    if (flags.path.empty()) {
      context.Print(mounted + "\n");
      return {};
    }
    return Invalid("container " + container.name + " is mounted at " + mounted + " already", EBUSY);
  }
  std::string target;
  if (flags.path.empty()) {
    std::string folder = "containers/" + container.id + "/merged";
    TRY(EnsureDir(store->root_fd(), folder, 0700));
    target = store->path() + "/" + folder;
  } else {
    TRY_ASSIGN(target, ExistingDirectory(flags.path));
  }
  auto done = MountContainer(*store, container, target);
  if (!done)
    return Invalid("cannot mount " + container.name + " at '" + target +
                   "': " + done.error().Message());
  TRY(store->catalog().SetContainerMount(container.id, target));
  if (flags.path.empty()) context.Print(target + "\n");
  return {};
}

Result<> UnmountOne(Context& context, Store& store, const std::string& what) {
  char resolved[PATH_MAX];
  auto container = FindContainer(store, what);
  if (!container) {
    if (!realpath(what.c_str(), resolved)) return std::unexpected(container.error());
    TRY_ASSIGN(bool is_mount, IsMountPoint(resolved));
    if (!is_mount) return Invalid("'" + what + "' is neither a container nor a mount of veneerfs");
    // The container's upper must be free again when this returns, whatever name it was called by.
    TRY_ASSIGN(auto containers, store.catalog().Containers());
    for (const ContainerRow& row : containers) {
      auto path = MountPathOf(store, row);
      if (path && *path == resolved) {
        TRY(Unmount(resolved, UpperPath(store, row)));
        return store.catalog().SetContainerMount(row.id, "");
      }
    }
    return Unmount(resolved, "");
  }
  TRY_ASSIGN(std::string path, MountPathOf(store, *container));
  if (path.empty()) return Invalid("container " + container->name + " is not mounted");
  TRY(Unmount(path, UpperPath(store, *container)));
  TRY(store.catalog().SetContainerMount(container->id, ""));
  context.Print(what + "\n");
  return {};
}

}  // namespace

void AddMount(CLI::App& parent, Context& context) {
  auto flags = std::make_shared<MountFlags>();
  CLI::App* c =
      parent.add_subcommand("mount", "Mount a container read-write, or an image read-only");
  c->add_option("CONTAINER", flags->what,
                "Container, or IMAGE with --read-only (default: list mounts)");
  c->add_option("PATH", flags->path,
                "Directory to mount at (default: one in the store, which is printed)");
  c->add_flag("--read-only", flags->read_only, "Mount an image, without a writable layer");
  context.Run(c, [&context, flags] { return MountOne(context, *flags); });
}

void AddUnmount(CLI::App& parent, Context& context) {
  auto names = std::make_shared<std::vector<std::string>>();
  CLI::App* c =
      parent.add_subcommand("umount", "Unmount containers, by name or path, or images, by path");
  c->alias("unmount");
  c->add_option("CONTAINER", *names, "Containers or mount points")->required();
  context.Run(c, [&context, names]() -> Result<> {
    TRY_ASSIGN(Store * store, context.OpenStore());
    Result<> outcome;
    for (const std::string& name : *names) {
      auto unmounted = UnmountOne(context, *store, name);
      if (unmounted) continue;
      if (!outcome) Context::Complain(outcome.error().Message());
      outcome = std::unexpected(unmounted.error());
    }
    return outcome;
  });
}

}  // namespace veneer::tools
