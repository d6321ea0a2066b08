#include "tools/build/output/local_output.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <functional>
#include <string_view>
#include <utility>
#include <vector>

#include "fs/copy_data.h"
#include "store/base/beneath.h"
#include "store/base/unique_fd.h"
#include "store/lease.h"
#include "tools/build/output/chain_walk.h"
#include "tools/output_file.h"

namespace veneer::build {
namespace {

constexpr mode_t kPermissions = 07777;
constexpr mode_t kOwnerAll = 0700;

std::string_view ParentOf(std::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? std::string_view() : path.substr(0, slash);
}

std::string NameOf(const std::string& path) { return path.substr(path.rfind('/') + 1); }

std::array<timespec, 2> TimesOf(const tree::Attributes& attr) {
  const timespec mtime{attr.mtime_sec, static_cast<long>(attr.mtime_nsec)};
  return {mtime, mtime};
}

// Of the image's attributes those that mean something outside of it. Labels and signatures are the
// host's own.
bool IsKept(const tree::Xattr& xattr) {
  return xattr.name.starts_with("user.") || xattr.name.starts_with("system.posix_acl_") ||
         xattr.name == "security.capability";
}

// As in BuildKit, one that the host refuses is left out.
void SetXattrs(int fd, const std::vector<tree::Xattr>& xattrs) {
  for (const tree::Xattr& xattr : xattrs) {
    if (IsKept(xattr))
      (void)fsetxattr(fd, xattr.name.c_str(), xattr.value.data(), xattr.value.size(), 0);
  }
}

class LocalWriter {
 public:
  LocalWriter(const ObjectStore& objects, UniqueFd root)
      : objects_(objects), root_(std::move(root)) {}

  Result<> Add(const ChainEntry& entry) {
    auto added = AddUnnamed(entry);
    if (!added) return std::unexpected(added.error().Within("'/" + entry.path + "'"));
    return {};
  }

  // Directories get their modes and times last, those deeper down first: until then we write in
  // them.
  Result<> Finish() {
    for (auto directory = directories_.rbegin(); directory != directories_.rend(); ++directory) {
      auto set = SetAttributes(*directory);
      if (!set) return std::unexpected(set.error().Within("'/" + directory->path + "'"));
    }
    return {};
  }

 private:
  struct Directory {
    std::string path;
    tree::Attributes attr;
    std::vector<tree::Xattr> xattrs;
  };

  Result<> AddUnnamed(const ChainEntry& entry) {
    TRY_ASSIGN(const int parent, OpenParent(entry.path));
    const std::string name = NameOf(entry.path);
    if (!entry.first_name.empty()) return AddLink(parent, name, entry.first_name);
    switch (entry.attr.mode & S_IFMT) {
      case S_IFDIR:
        return AddDirectory(parent, name, entry);
      case S_IFREG:
        return AddFile(parent, name, entry);
      case S_IFLNK:
        TRY(Place(parent, name, [&](const char* at) {
          return symlinkat(entry.link_target.c_str(), parent, at);
        }));
        return SetTimes(parent, name, entry);
      default:
        return AddSpecial(parent, name, entry);
    }
  }

  Result<UniqueFd> OpenDirectory(const std::string& path) {
    return OpenBeneath(root_.get(), path.empty() ? "." : path, O_RDONLY | O_DIRECTORY, false);
  }

  Result<int> OpenParent(const std::string& path) {
    const std::string_view parent = ParentOf(path);
    if (!parent_fd_ || parent != parent_path_) {
      TRY_ASSIGN(parent_fd_, OpenDirectory(std::string(parent)));
      parent_path_ = parent;
    }
    return parent_fd_.get();
  }

  Result<> AddDirectory(int parent, const std::string& name, const ChainEntry& entry) {
    if (mkdirat(parent, name.c_str(), kOwnerAll) != 0) {
      if (errno != EEXIST) return Errno("mkdir");
      TRY_ASSIGN(const struct stat st, StatAt(parent, name, AT_SYMLINK_NOFOLLOW));
      if (!S_ISDIR(st.st_mode)) {
        if (unlinkat(parent, name.c_str(), 0) != 0) return Errno("unlink");
        if (mkdirat(parent, name.c_str(), kOwnerAll) != 0) return Errno("mkdir");
      } else if ((st.st_mode & kOwnerAll) != kOwnerAll && geteuid() != 0) {
        TRY(SetMode(parent, name, (st.st_mode | kOwnerAll) & kPermissions));
      }
    }
    directories_.push_back({entry.path, entry.attr, entry.xattrs});
    return {};
  }

  Result<> AddFile(int parent, const std::string& name, const ChainEntry& entry) {
    TRY_ASSIGN(tools::NewFile file, tools::NewFile::Create(parent, 0600));
    if (entry.attr.size > 0) {
      TRY_ASSIGN(const UniqueFd object, objects_.Open(entry.object));
      if (!fs::CloneData(object.get(), file.fd(), entry.attr.size))
        TRY(fs::CopyData(object.get(), file.fd(), entry.attr.size));
    }
    SetXattrs(file.fd(), entry.xattrs);
    if (fchmod(file.fd(), entry.attr.mode & kPermissions) != 0) return Errno("chmod");
    if (futimens(file.fd(), TimesOf(entry.attr).data()) != 0) return Errno("utimens");
    auto committed = file.Commit(name);
    if (committed || committed.error().code() != EISDIR) return committed;
    TRY(RemoveTree(parent, name));
    return file.Commit(name);
  }

  Result<> AddLink(int parent, const std::string& name, const std::string& first) {
    TRY_ASSIGN(const UniqueFd dir, OpenDirectory(std::string(ParentOf(first))));
    const std::string first_name = NameOf(first);
    struct stat st = {};
    // A device that could not be made has no other names either.
    if (fstatat(dir.get(), first_name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0 && errno == ENOENT)
      return {};
    return Place(parent, name, [&](const char* at) {
      return linkat(dir.get(), first_name.c_str(), parent, at, 0);
    });
  }

  Result<> AddSpecial(int parent, const std::string& name, const ChainEntry& entry) {
    const dev_t device = makedev(entry.attr.rdev_major, entry.attr.rdev_minor);
    auto placed = Place(
        parent, name, [&](const char* at) { return mknodat(parent, at, entry.attr.mode, device); });
    if (!placed) {
      if (placed.error().code() == EPERM && !S_ISFIFO(entry.attr.mode)) return {};
      return placed;
    }
    TRY(SetMode(parent, name, entry.attr.mode & kPermissions));  // the umask had its say
    return SetTimes(parent, name, entry);
  }

  // Makes something under `name`, or beside it and renamed over what is there.
  static Result<> Place(int parent, const std::string& name,
                        const std::function<int(const char* at)>& make) {
    if (make(name.c_str()) == 0) return {};
    if (errno != EEXIST) return Errno("create");
    const std::string temporary = tools::kTemporaryPrefix + RandomHex().substr(0, 16);
    if (make(temporary.c_str()) != 0) return Errno("create");
    const auto move_in = [&] {
      return renameat(parent, temporary.c_str(), parent, name.c_str()) == 0 ? 0 : errno;
    };
    int error = move_in();
    if (error == EISDIR) {
      const auto removed = RemoveTree(parent, name);
      error = removed ? move_in() : removed.error().code();
    }
    // Also where it was renamed: rename(2) does nothing to two names of one file.
    unlinkat(parent, temporary.c_str(), 0);
    return error == 0 ? Result<>() : Fail(error, "rename");
  }

  static Result<> SetTimes(int parent, const std::string& name, const ChainEntry& entry) {
    if (utimensat(parent, name.c_str(), TimesOf(entry.attr).data(), AT_SYMLINK_NOFOLLOW) != 0)
      return Errno("utimens");
    return {};
  }

  // fchmodat(2) follows symlinks, which may have come in the way.
  static Result<> SetMode(int parent, const std::string& name, mode_t mode) {
    TRY_ASSIGN(const UniqueFd fd, OpenBeneath(parent, name, O_PATH | O_NOFOLLOW, false));
    if (chmod(FdPath(fd.get()).c_str(), mode) != 0) return Errno("chmod");
    return {};
  }

  Result<> SetAttributes(const Directory& directory) {
    TRY_ASSIGN(const UniqueFd fd, OpenDirectory(directory.path));
    SetXattrs(fd.get(), directory.xattrs);
    if (fchmod(fd.get(), directory.attr.mode & kPermissions) != 0) return Errno("chmod");
    if (futimens(fd.get(), TimesOf(directory.attr).data()) != 0) return Errno("utimens");
    return {};
  }

  const ObjectStore& objects_;
  UniqueFd root_;
  std::string parent_path_;
  UniqueFd parent_fd_;
  std::vector<Directory> directories_;
};

Result<> MakeDirectories(const std::string& path) {
  for (size_t at = 0; at != std::string::npos;) {
    at = path.find('/', at + 1);
    if (mkdir(path.substr(0, at).c_str(), kOwnerAll) == 0 || errno == EEXIST) continue;
    if (at == std::string::npos) return Errno("mkdir");
    // Whatever is the matter, the last one tells: above it there may be what we need not make.
  }
  return {};
}

}  // namespace

Result<> WriteLocalOutput(Store& store, const tree::MergedTree& tree,
                          std::optional<int64_t> latest_mtime, const std::string& directory) {
  TRY(MakeDirectories(directory));
  TRY_ASSIGN(UniqueFd root, OpenAt(AT_FDCWD, directory, O_RDONLY | O_DIRECTORY));
  LocalWriter writer(store.objects(), std::move(root));
  TRY(WalkChain(tree, latest_mtime, [&](const ChainEntry& entry) { return writer.Add(entry); }));
  return writer.Finish();
}

}  // namespace veneer::build
