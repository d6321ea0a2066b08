#include "store/container_store.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <ctime>

#include "store/base/beneath.h"
#include "store/image_config.h"
#include "store/lease.h"
#include "store/upper_root.h"

namespace veneer {
namespace {

bool IsAllowedName(const std::string& name) {
  auto allowed = [](unsigned char c) {
    return std::isalnum(c) || c == '_' || c == '.' || c == '-';
  };
  return name.size() >= 2 && std::isalnum(static_cast<unsigned char>(name[0])) &&
         std::all_of(name.begin(), name.end(), allowed);
}

// A name to remember a container by, as Docker gives one.
std::string GeneratedName(const std::string& id) {
  static constexpr std::array kAdjectives = {"amber",    "bold",  "brisk",  "calm",   "clever",
                                             "copper",   "eager", "fine",   "glossy", "happy",
                                             "keen",     "light", "lucid",  "mellow", "nimble",
                                             "polished", "quiet", "silver", "steady", "warm"};
  static constexpr std::array kWoods = {
      "alder", "ash",   "beech", "birch", "cedar",  "cherry", "ebony",  "elm",  "fir",    "hazel",
      "larch", "maple", "oak",   "pine",  "poplar", "rowan",  "spruce", "teak", "walnut", "willow"};
  auto byte = [&](size_t at) {
    return static_cast<size_t>(std::stoul(id.substr(at, 4), nullptr, 16));
  };
  return std::string(kAdjectives[byte(0) % kAdjectives.size()]) + "_" +
         kWoods[byte(4) % kWoods.size()] + "_" + id.substr(8, 4);
}

}  // namespace

Result<ContainerRow> CreateContainer(Store& store, const ImageId& image,
                                     const std::string& image_name, const std::string& name) {
  if (!name.empty() && !IsAllowedName(name)) {
    return Invalid("Invalid container name (" + name +
                   "), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed");
  }
  TRY_ASSIGN(WorkLease lease, WorkLease::Shared(store.root_fd()));
  Catalog& catalog = store.catalog();
  TRY_ASSIGN(auto row, catalog.FindImage(image));
  if (!row) return Invalid("No such image: " + image.ToString(), ENOENT);
  TRY_ASSIGN(ImageConfig config, ImageConfig::Parse(row->config));
  TRY_ASSIGN(auto chain, store.chains().Open(config.diff_ids));

  ContainerRow container;
  container.id = RandomHex();
  container.name = name.empty() ? GeneratedName(container.id) : name;
  container.image = image;
  container.image_name = image_name;
  container.created_at = std::time(nullptr);
  auto run_config = config.json.find("config");
  container.config =
      run_config != config.json.end() && run_config->is_object() ? run_config->dump() : "{}";

  TRY_ASSIGN(auto taken, catalog.FindContainerByName(container.name));
  if (taken) {
    return Invalid(
        "Conflict. The container name \"/" + container.name +
            "\" is already in use by container \"" + taken->id +
            "\". You have to remove (or rename) that container to be able to reuse that name.",
        EEXIST);
  }
  std::string folder = "containers/" + container.id;
  // Nobody but the owner gets at the upper: setuid files in it are the container's, not the host's.
  TRY(EnsureDir(store.root_fd(), folder, 0700));
  auto fill = [&]() -> Result<> {
    TRY(EnsureDir(store.root_fd(), folder + "/upper", 0700));
    TRY(EnsureDir(store.root_fd(), folder + "/work", 0700));
    TRY_ASSIGN(UniqueFd upper, OpenAt(store.root_fd(), folder + "/upper", O_RDONLY | O_DIRECTORY));
    TRY(CopyRootAttributes(*chain, upper.get()));
    return catalog.AddContainer(container);
  };
  auto filled = fill();
  if (!filled) {
    (void)RemoveTree(store.root_fd(), folder);
    if (filled.error().code() == EEXIST) {
      return Invalid("Conflict. The container name \"/" + container.name + "\" is already in use.",
                     EEXIST);
    }
    return std::unexpected(filled.error());
  }
  return container;
}

Result<ContainerRow> FindContainer(Store& store, const std::string& name_or_id) {
  std::string wanted = name_or_id.starts_with('/') ? name_or_id.substr(1) : name_or_id;
  TRY_ASSIGN(auto named, store.catalog().FindContainerByName(wanted));
  if (named) return *named;
  bool hex = !wanted.empty() && wanted.find_first_not_of("0123456789abcdef") == wanted.npos;
  if (hex) {
    TRY_ASSIGN(auto found, store.catalog().ContainersByPrefix(wanted));
    if (found.size() > 1) return Invalid("Multiple IDs found with provided prefix: " + wanted);
    if (found.size() == 1) return found.front();
  }
  return Invalid("No such container: " + name_or_id, ENOENT);
}

Result<> RemoveContainer(Store& store, const ContainerRow& container) {
  TRY_ASSIGN(WorkLease lease, WorkLease::Shared(store.root_fd()));
  auto lock = UpperLock::Take(store, container);
  if (!lock && lock.error().code() != ENOENT) return std::unexpected(lock.error());
  TRY(store.catalog().DeleteContainer(container.id));
  // From here it does not exist; what a crash leaves of its folder goes with the next sweep.
  return RemoveTree(store.root_fd(), "containers/" + container.id);
}

Result<UpperLock> UpperLock::Take(const Store& store, const ContainerRow& container) {
  TRY_ASSIGN(UniqueFd upper, OpenAt(AT_FDCWD, UpperPath(store, container), O_RDONLY | O_DIRECTORY));
  if (flock(upper.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return Errno("lock the upper of " + container.name);
    return Invalid("container " + container.name + " is being mounted, or used by another command",
                   EBUSY);
  }
  return UpperLock(std::move(upper));
}

std::string UpperPath(const Store& store, const ContainerRow& container) {
  return store.path() + "/containers/" + container.id + "/upper";
}
std::string WorkPath(const Store& store, const ContainerRow& container) {
  return store.path() + "/containers/" + container.id + "/work";
}

}  // namespace veneer
