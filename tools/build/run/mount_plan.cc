#include "tools/build/run/mount_plan.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <utility>

#include "store/base/beneath.h"
#include "tools/build/language/text.h"
#include "tools/build/run/root_path.h"

namespace veneer::build {
namespace {

using Options = std::vector<std::string>;

constexpr uint64_t kDefaultShmSize = 64U << 20;

bool IsWithin(std::string_view path, std::string_view directory) {
  return path.size() > directory.size() && path.starts_with(directory) &&
         path[directory.size()] == '/';
}

// What a user namespace may not take off a mount that it got from outside: a read-only bind mount
// is made by remounting, which must say all of it again (mount_namespaces(7), "locked").
Options LockedFlags(const std::string& source) {
  struct statvfs fs;
  Options out;
  if (statvfs(source.c_str(), &fs) != 0) return out;
  if (fs.f_flag & ST_NOSUID) out.emplace_back("nosuid");
  if (fs.f_flag & ST_NODEV) out.emplace_back("nodev");
  if (fs.f_flag & ST_NOEXEC) out.emplace_back("noexec");
  if (fs.f_flag & ST_NOATIME) out.emplace_back("noatime");
  return out;
}

Result<struct stat> StatSource(const std::string& source) {
  struct stat st;
  if (stat(source.c_str(), &st) != 0) return Errno("mount source " + source);
  return st;
}

std::vector<ContainerMount> DockersMounts(const MountOptions& options) {
  const UserNamespace& space = options.user_namespace;
  std::vector<ContainerMount> out;
  out.push_back({"/proc", "proc", "proc", {"nosuid", "noexec", "nodev"}});
  out.push_back({"/dev", "tmpfs", "tmpfs", {"nosuid", "strictatime", "mode=755", "size=65536k"}});
  Options pts = {"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"};
  if (space.maps_tty_group) pts.emplace_back("gid=5");
  out.push_back({"/dev/pts", "devpts", "devpts", std::move(pts)});
  const uint64_t shm = options.shm_size == 0 ? kDefaultShmSize : options.shm_size;
  out.push_back({"/dev/shm",
                 "tmpfs",
                 "shm",
                 {"nosuid", "noexec", "nodev", "mode=1777", "size=" + std::to_string(shm)}});
  out.push_back({"/dev/mqueue", "mqueue", "mqueue", {"nosuid", "noexec", "nodev"}});
  const std::string access = options.insecure ? "rw" : "ro";
  if (space.nested) {
    // A sysfs shows a network namespace, and who does not own that may not mount one.
    out.push_back({"/sys", "bind", "/sys", {"rbind", "nosuid", "noexec", "nodev", access}});
  } else {
    out.push_back({"/sys", "sysfs", "sysfs", {"nosuid", "noexec", "nodev", access}});
    if (options.with_cgroups) {
      out.push_back({"/sys/fs/cgroup", "cgroup", "cgroup", {"nosuid", "noexec", "nodev", access}});
    }
  }
  for (const auto& [file, place] : {std::pair(&options.resolv_conf, "/etc/resolv.conf"),
                                    std::pair(&options.hosts, "/etc/hosts")}) {
    out.push_back(
        {place, "bind", *file, {"rbind", "nosuid", "noexec", "nodev", "ro"}, /*is_file=*/true});
  }
  return out;
}

Result<ContainerMount> FromStep(const StepMount& mount, const UserNamespace& space) {
  ContainerMount out;
  out.destination = CleanPath("/" + mount.target);
  if (out.destination == "/") return Invalid("a mount cannot be on the root directory");
  if (mount.kind == StepMount::Kind::kTmpfs) {
    out.type = "tmpfs";
    out.source = "tmpfs";
    out.options = {"nosuid"};
    if (mount.size_limit != 0) out.options.push_back("size=" + std::to_string(mount.size_limit));
    if (mount.read_only) out.options.emplace_back("ro");
    return out;
  }
  TRY_ASSIGN(const struct stat st, StatSource(mount.source));
  out.type = "bind";
  out.source = mount.source;
  out.is_file = !S_ISDIR(st.st_mode);
  out.options = {"rbind", mount.read_only ? "ro" : "rw"};
  if (space.nested) {
    for (std::string& flag : LockedFlags(mount.source)) out.options.push_back(std::move(flag));
  }
  return out;
}

bool HasMode(const Options& options) {
  return std::any_of(options.begin(), options.end(),
                     [](const std::string& option) { return option.starts_with("mode="); });
}

// The mount on this place among those before `end`; that many if there is none.
size_t FindPlace(const std::vector<ContainerMount>& mounts, std::string_view place, size_t end) {
  for (size_t i = 0; i < end; ++i) {
    if (mounts[i].destination == place) return i;
  }
  return end;
}

// Where in the root `mount` goes, the mounts before it being there already.
Result<> Place(int root_fd, ContainerMount& mount, const std::vector<ContainerMount>& before) {
  const std::string wanted = mount.destination;
  // Only what is mounted directly on the root filesystem hides some of it.
  const auto covered = [&](const std::string& path) {
    return std::any_of(before.begin(), before.end(), [&](const ContainerMount& other) {
      return !other.is_file && other.destination.substr(1) == path;
    });
  };
  auto resolved = ResolveInRoot(root_fd, wanted, covered);
  if (!resolved) return std::unexpected(resolved.error().Within("mount target " + wanted));
  if (resolved->path.empty()) return Invalid("mount target " + wanted + " is the root directory");
  mount.destination = "/" + resolved->path;
  mount.within = std::any_of(before.begin(), before.end(), [&](const ContainerMount& other) {
    return IsWithin(mount.destination, other.destination);
  });
  const bool is_bare_tmpfs = mount.type == "tmpfs" && !HasMode(mount.options);
  if (is_bare_tmpfs) mount.stub_mode = 01777;
  if (mount.within || !resolved->exists) {
    if (is_bare_tmpfs) mount.options.push_back("mode=1777");
    return {};
  }
  TRY_ASSIGN(UniqueFd there, OpenBeneath(root_fd, resolved->path, O_PATH, /*follow=*/false));
  struct stat st;
  if (fstat(there.get(), &st) != 0) return Errno("stat " + wanted);
  if (is_bare_tmpfs) mount.options.push_back(fmt::format("mode={:o}", st.st_mode & 07777));
  if (S_ISDIR(st.st_mode) == mount.is_file) {
    return Invalid("mount target " + wanted +
                   (mount.is_file ? " is a directory, what is mounted there is not"
                                  : " is not a directory, what is mounted there is"));
  }
  return {};
}

// The runtime looks for kernel interfaces at these names; a symlink would have it look elsewhere.
Result<> CheckKernelPlaces(int root_fd) {
  for (const char* name : {"proc", "dev", "sys"}) {
    struct stat st;
    if (fstatat(root_fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0) continue;
    if (!S_ISDIR(st.st_mode))
      return Invalid("/" + std::string(name) + " of the root filesystem is not a directory");
  }
  return {};
}

}  // namespace

Result<std::vector<ContainerMount>> PlanMounts(int root_fd, const MountOptions& options,
                                               const std::vector<StepMount>& step_mounts) {
  TRY(CheckKernelPlaces(root_fd));
  std::vector<ContainerMount> all = DockersMounts(options);
  for (const StepMount& mount : step_mounts) {
    TRY_ASSIGN(ContainerMount own, FromStep(mount, options.user_namespace));
    all.push_back(std::move(own));
  }
  std::vector<ContainerMount> out;
  for (ContainerMount& mount : all) {
    TRY(Place(root_fd, mount, out));
    const size_t same = FindPlace(out, mount.destination, out.size());
    if (same == out.size()) {
      out.push_back(std::move(mount));
    } else {
      mount.within = out[same].within;
      out[same] = std::move(mount);
    }
  }
  return out;
}

}  // namespace veneer::build
