#include "tools/build/run/mount_stubs.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <utility>

#include "store/base/beneath.h"
#include "tools/build/run/root_path.h"

namespace veneer::build {
namespace {

bool Same(const timespec& a, const timespec& b) {
  return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

Result<timespec> ChangedAt(int directory) {
  struct stat st;
  if (fstat(directory, &st) != 0) return Errno("stat");
  return st.st_mtim;
}

}  // namespace

MountStubs::MountStubs(MountStubs&& other) noexcept
    : root_fd_(other.root_fd_), stubs_(std::exchange(other.stubs_, {})) {}

MountStubs::~MountStubs() { (void)Remove(); }

Result<MountStubs> MountStubs::Create(int root_fd, const std::vector<ContainerMount>& mounts) {
  MountStubs stubs(root_fd);
  for (const ContainerMount& mount : mounts) {
    if (mount.within) continue;
    auto made = stubs.MakeAll(mount.destination.substr(1), mount);
    if (!made) return std::unexpected(made.error().Within("mount target " + mount.destination));
  }
  return stubs;
}

Result<> MountStubs::MakeAll(const std::string& path, const ContainerMount& mount) {
  // From the top down: which of the directories are missing shows as they are looked at.
  for (size_t slash = path.find('/'); slash != path.npos; slash = path.find('/', slash + 1)) {
    TRY(MakeOne(path.substr(0, slash), /*is_directory=*/true, 0755));
  }
  return MakeOne(path, !mount.is_file, mount.is_file ? 0644 : mount.stub_mode);
}

Result<> MountStubs::MakeOne(const std::string& path, bool is_directory, mode_t mode) {
  TRY_ASSIGN(const UniqueFd directory, OpenDirectoryOf(root_fd_, path));
  const std::string name(NameOf(path));
  struct stat st;
  if (fstatat(directory.get(), name.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0) return {};
  if (errno != ENOENT) return Errno("stat");
  Stub stub{path, is_directory};
  TRY_ASSIGN(stub.before, ChangedAt(directory.get()));
  if (is_directory) {
    if (mkdirat(directory.get(), name.c_str(), mode) != 0) return Errno("mkdir");
  } else {
    TRY_ASSIGN(const UniqueFd file,
               OpenAt(directory.get(), name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode));
  }
  stubs_.push_back(stub);
  // The umask is the caller's, and the step's user may be anybody.
  if (fchmodat(directory.get(), name.c_str(), mode, 0) != 0) return Errno("chmod");
  TRY_ASSIGN(stubs_.back().after, ChangedAt(directory.get()));
  return {};
}

Result<> MountStubs::RemoveOne(const Stub& stub) {
  auto directory = OpenDirectoryOf(root_fd_, stub.path);
  if (!directory) {
    // The step took it away, or put something else in its place.
    const int code = directory.error().code();
    if (code == ENOENT || code == ENOTDIR || code == ELOOP) return {};
    return std::unexpected(directory.error());
  }
  const std::string name(NameOf(stub.path));
  struct stat st;
  if (fstatat(directory->get(), name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT) return {};
    return Errno("stat " + stub.path);
  }
  if (stub.is_directory ? !S_ISDIR(st.st_mode) : !S_ISREG(st.st_mode) || st.st_size != 0) return {};
  TRY_ASSIGN(const timespec now, ChangedAt(directory->get()));
  if (unlinkat(directory->get(), name.c_str(), stub.is_directory ? AT_REMOVEDIR : 0) != 0) {
    if (errno == ENOTEMPTY || errno == EEXIST || errno == ENOENT) return {};
    return Errno("remove " + stub.path);
  }
  // What changed the directory since the stub was made there is the step, and its time stays.
  const timespec times[2] = {{.tv_sec = 0, .tv_nsec = UTIME_OMIT},
                             Same(now, stub.after) ? stub.before : now};
  if (utimensat(directory->get(), ".", times, 0) != 0)
    return Errno("set the time of the directory of " + stub.path);
  return {};
}

Result<> MountStubs::Remove() {
  Result<> first;
  while (!stubs_.empty()) {
    const Stub stub = std::move(stubs_.back());
    stubs_.pop_back();
    auto removed = RemoveOne(stub);
    if (!removed && first) first = std::unexpected(removed.error());
  }
  return first;
}

}  // namespace veneer::build
