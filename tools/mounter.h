// Mounting chains with veneerfs, and finding and ending such mounts. veneerfs is the program beside
// this one, else in PATH.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "store/base/result.h"
#include "store/base/unique_fd.h"
#include "store/catalog.h"
#include "store/store.h"

namespace veneer::tools {

struct MountRequest {
  std::vector<DiffId> layers;  // of the chain, lowest first
  std::string upper;           // empty: a read-only mount
  std::string work;
  std::string target;        // an existing directory
  std::string source;        // shown in mountinfo: "veneer:<container or image>"
  bool is_volatile = false;  // no fsync, for mounts that are thrown away
};

// Mounts and returns once the mount answers; the daemon lives on. It holds a MountLease for the
// chain.
Result<> Mount(Store& store, const MountRequest& request);

struct MountedFs {
  std::string path;
  std::string source;
};
// All veneerfs mounts that this process sees (/proc/self/mountinfo).
Result<std::vector<MountedFs>> ListMounts();
Result<bool> IsMountPoint(const std::string& path);  // of veneerfs

// Unmounts `path`, as root by umount2(2), else with fusermount3, then waits until `upper` (if not
// empty) is released, so that it can be mounted again at once. EBUSY names what to do.
Result<> Unmount(const std::string& path, const std::string& upper);

// Whether some veneerfs holds this upper (its flock).
Result<bool> UpperInUse(const std::string& upper);

// Where a container is mounted right now, whoever mounted it; empty when it is not. A mount this
// process cannot see (in another mount namespace) is an error (EBUSY).
Result<std::string> MountPathOf(Store& store, const ContainerRow& container);

// A container's filesystem for as long as this lives: where it is mounted already, else at a mount
// of its own.
class TemporaryMount {
 public:
  static Result<TemporaryMount> Of(Store& store, const ContainerRow& container);
  TemporaryMount(TemporaryMount&& other) noexcept;
  TemporaryMount& operator=(TemporaryMount&&) = delete;
  ~TemporaryMount();
  const std::string& path() const { return path_; }
  Result<> Release();  // unmounts, if this mounted

 private:
  TemporaryMount() = default;
  std::string path_;
  std::string upper_;
  bool ours_ = false;
};

// Mounts `container` read-write at `target` (an absolute path).
Result<> MountContainer(Store& store, const ContainerRow& container, const std::string& target);

// For the time of a commit: everything written is on disk and the namespace stands still; released
// on destruction.
class FrozenMount {
 public:
  static Result<FrozenMount> Freeze(const std::string& path);
  Result<> Thaw();  // EBUSY: the freeze ran out before, so changes may have slipped in

 private:
  explicit FrozenMount(UniqueFd root) : root_(std::move(root)) {}
  UniqueFd root_;  // the daemon thaws when this is closed
};

}  // namespace veneer::tools
