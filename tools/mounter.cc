#include "tools/mounter.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <sstream>
#include <thread>
#include <utility>

#include "fs/control.h"
#include "store/base/beneath.h"
#include "store/container_store.h"
#include "store/image_config.h"
#include "store/lease.h"
#include "store/markers.h"

extern char** environ;

namespace veneer::tools {
namespace {

const std::string kContainerSource =
    "veneer:";                    // and the container's ID: the source that mountinfo shows
constexpr int kSettleTries = 50;  // of 10 ms: how long a mount may take to appear or to go
// Of 10 ms: how long a daemon may take to let go of its upper: it copies what is on its way, and
// makes it durable.
constexpr int kReleaseTries = 60'000;
// The longest that a commit may hold changes up.
constexpr uint32_t kFreezeMs = 3600 * 1000;

// Options of -o are separated by commas, which values escape.
std::string EscapeOption(const std::string& value) {
  std::string out;
  for (char c : value) {
    if (c == ',') out += '\\';
    out += c;
  }
  return out;
}

// mountinfo writes space, tab, newline and backslash as octal (proc(5)).
std::string UnescapeMountinfo(const std::string& field) {
  std::string out;
  for (size_t i = 0; i < field.size(); ++i) {
    if (field[i] == '\\' && i + 3 < field.size()) {
      out += static_cast<char>((field[i + 1] - '0') << 6 | (field[i + 2] - '0') << 3 |
                               (field[i + 3] - '0'));
      i += 3;
    } else {
      out += field[i];
    }
  }
  return out;
}

std::string VeneerfsPath() {
  char self[4096];
  ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
  if (n > 0) {
    std::string path(self, static_cast<size_t>(n));
    path = path.substr(0, path.rfind('/') + 1) + "veneerfs";
    if (access(path.c_str(), X_OK) == 0) return path;
  }
  return "veneerfs";
}

// Runs a program to its end; its standard error becomes the error's text.
Result<> RunProgram(const std::vector<std::string>& arguments, int inherited_fd) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return Errno("pipe");
  UniqueFd read_end(ends[0]), write_end(ends[1]);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, write_end.get(), STDERR_FILENO);
  // dup2 onto itself clears close-on-exec in the child.
  if (inherited_fd >= 0) posix_spawn_file_actions_adddup2(&actions, inherited_fd, inherited_fd);
  std::vector<char*> argv;
  argv.reserve(arguments.size() + 1);
  for (const std::string& a : arguments) argv.push_back(const_cast<char*>(a.c_str()));
  argv.push_back(nullptr);
  pid_t pid = 0;
  int error = posix_spawnp(&pid, argv[0], &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) return Invalid("cannot run " + arguments[0] + ": " + strerror(error), error);
  write_end.Reset();
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  // A daemon may have kept the other end: take what is there, and wait for no more.
  fcntl(read_end.get(), F_SETFL, O_NONBLOCK);
  std::string text(4096, '\0');
  ssize_t n = read(read_end.get(), text.data(), text.size());
  text.resize(n > 0 ? static_cast<size_t>(n) : 0);
  while (!text.empty() && text.back() == '\n') text.pop_back();
  if (size_t line = text.rfind('\n'); line != text.npos) text = text.substr(line + 1);
  std::string name = arguments[0].substr(arguments[0].rfind('/') + 1);
  if (text.starts_with(name + ": ")) text = text.substr(name.size() + 2);
  if (text.empty()) text = name + " failed";
  return Invalid(text, EIO);
}

}  // namespace

Result<> Mount(Store& store, const MountRequest& request) {
  TRY_ASSIGN(WorkLease working, WorkLease::Shared(store.root_fd()));
  TRY_ASSIGN(auto chain, store.chains().Open(request.layers));
  TRY_ASSIGN(MountLease lease, MountLease::Create(store.root_fd(), request.layers));
  std::string options = "chain=" + EscapeOption(store.chains().PathOf(request.layers)) +
                        ",objects=" + EscapeOption(store.path() + "/objects") +
                        ",lease_fd=" + std::to_string(lease.fd()) +
                        ",fsname=" + EscapeOption(request.source);
  if (request.upper.empty()) {
    options += ",ro";
  } else {
    options +=
        ",upperdir=" + EscapeOption(request.upper) + ",workdir=" + EscapeOption(request.work);
  }
  if (request.is_volatile) options += ",volatile";
  return RunProgram({VeneerfsPath(), "-o", options, request.target}, lease.fd());
}

Result<std::vector<MountedFs>> ListMounts() {
  std::ifstream file("/proc/self/mountinfo");
  if (!file) return Fail(EIO, "read /proc/self/mountinfo");
  std::vector<MountedFs> mounts;
  std::string line;
  while (std::getline(file, line)) {
    size_t dash = line.find(" - ");
    if (dash == line.npos) continue;
    std::istringstream left(line.substr(0, dash)), right(line.substr(dash + 3));
    std::string field, path, type, source;
    for (int i = 0; i < 4; ++i) left >> field;
    left >> path;
    right >> type >> source;
    if (type == "fuse.veneerfs")
      mounts.push_back({UnescapeMountinfo(path), UnescapeMountinfo(source)});
  }
  return mounts;
}

Result<bool> IsMountPoint(const std::string& path) {
  TRY_ASSIGN(auto mounts, ListMounts());
  return std::any_of(mounts.begin(), mounts.end(),
                     [&](const MountedFs& m) { return m.path == path; });
}

Result<bool> UpperInUse(const std::string& upper) {
  TRY_ASSIGN(UniqueFd fd, OpenAt(AT_FDCWD, upper, O_RDONLY | O_DIRECTORY));
  if (flock(fd.get(), LOCK_SH | LOCK_NB) == 0) return false;
  if (errno == EWOULDBLOCK) return true;
  return Errno("lock " + upper);
}

// Whether the daemon that holds this work directory is making durable what was written, its mount
// being gone.
bool IsEnding(const std::string& work) {
  auto text = ReadFileAt(AT_FDCWD, work + "/" + markers::kWorkLock, 64);
  return text && text->ends_with(markers::kLockEnding);
}

Result<> Unmount(const std::string& path, const std::string& upper) {
  if (geteuid() == 0) {
    if (umount2(path.c_str(), UMOUNT_NOFOLLOW) != 0) {
      if (errno == EBUSY)
        return Invalid(path + " is in use; leave it (fuser -vm shows who is in it) and try again",
                       EBUSY);
      return Errno("unmount " + path);
    }
  } else {
    TRY(RunProgram({"fusermount3", "-u", path}, -1));
  }
  if (upper.empty()) return {};
  for (int i = 0; i < kReleaseTries; ++i) {
    TRY_ASSIGN(bool held, UpperInUse(upper));
    if (!held) return {};
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return Invalid("the daemon of " + path + " still holds " + upper, EBUSY);
}

Result<std::string> MountPathOf(Store& store, const ContainerRow& container) {
  for (int i = 0;; ++i) {
    TRY_ASSIGN(auto mounts, ListMounts());
    for (const MountedFs& mount : mounts) {
      if (mount.source == kContainerSource + container.id) return mount.path;
    }
    TRY_ASSIGN(bool used, UpperInUse(UpperPath(store, container)));
    if (!used) return std::string();
    // Locked and not in the list: about to be mounted, just unmounted, or out of sight.
    if (i >= kSettleTries && !IsEnding(WorkPath(store, container))) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return Invalid(
      "container " + container.name +
          " is in use where this process cannot see it (another mount namespace, or a commit)",
      EBUSY);
}

Result<> MountContainer(Store& store, const ContainerRow& container, const std::string& target) {
  TRY_ASSIGN(auto row, store.catalog().FindImage(container.image));
  if (!row) return Invalid("the image of container " + container.name + " is missing", ENOENT);
  TRY_ASSIGN(ImageConfig config, ImageConfig::Parse(row->config));
  return Mount(store, {config.diff_ids, UpperPath(store, container), WorkPath(store, container),
                       target, kContainerSource + container.id});
}

Result<TemporaryMount> TemporaryMount::Of(Store& store, const ContainerRow& container) {
  TemporaryMount mount;
  TRY_ASSIGN(mount.path_, MountPathOf(store, container));
  if (!mount.path_.empty()) return mount;
  std::string folder = "containers/" + container.id + "/merged";
  TRY(EnsureDir(store.root_fd(), folder, 0700));
  mount.path_ = store.path() + "/" + folder;
  TRY(MountContainer(store, container, mount.path_));
  mount.upper_ = UpperPath(store, container);
  mount.ours_ = true;
  return mount;
}

TemporaryMount::TemporaryMount(TemporaryMount&& other) noexcept
    : path_(std::move(other.path_)),
      upper_(std::move(other.upper_)),
      ours_(std::exchange(other.ours_, false)) {}

TemporaryMount::~TemporaryMount() { (void)Release(); }

Result<> TemporaryMount::Release() {
  if (!std::exchange(ours_, false)) return {};
  return Unmount(path_, upper_);
}

Result<FrozenMount> FrozenMount::Freeze(const std::string& path) {
  TRY_ASSIGN(UniqueFd root, OpenAt(AT_FDCWD, path, O_RDONLY | O_DIRECTORY));
  while (ioctl(root.get(), fs::control::kSync) != 0) {
    if (errno != EAGAIN) return Errno("sync the mount at " + path);
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  fs::control::Freeze request{};
  request.timeout_ms = kFreezeMs;
  if (ioctl(root.get(), fs::control::kFreeze, &request) != 0)
    return Errno("freeze the mount at " + path);
  return FrozenMount(std::move(root));
}

Result<> FrozenMount::Thaw() {
  if (ioctl(root_.get(), fs::control::kThaw) != 0) {
    if (errno == EINVAL)
      return Invalid("the container was changed while it was read; try again", EBUSY);
    return Errno("thaw");
  }
  return {};
}

}  // namespace veneer::tools
