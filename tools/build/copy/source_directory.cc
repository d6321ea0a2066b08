// SourceTree of a directory of the host.
#include <fcntl.h>

#include <algorithm>
#include <array>
#include <memory>
#include <utility>

#include "store/base/beneath.h"
#include "store/base/mutex.h"
#include "store/directory.h"
#include "store/file_facts.h"
#include "tools/build/copy/source_tree.h"

namespace veneer::build {
namespace {

constexpr size_t kOpenDirectories = 8;  // a walk, and a thread or two that read what it found

std::string_view ParentOf(std::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == path.npos ? std::string_view() : path.substr(0, slash);
}

std::string NameOf(std::string_view path) {
  return std::string(path.substr(path.rfind('/') + 1));  // npos + 1 == 0
}

std::string Below(const std::string& directory, const std::string& name) {
  return directory.empty() ? name : directory + "/" + name;
}

// A directory of the source that is open.
struct OpenedDirectory {
  UniqueFd fd;
  // What List gave of it, for others to look up. Guarded by the source's mutex.
  std::shared_ptr<const std::vector<std::string>> visible = nullptr;
};

class DirectorySource : public SourceTree {
 public:
  DirectorySource(UniqueFd root, const IgnoreMatcher* ignore)
      : root_(std::make_shared<OpenedDirectory>(std::move(root))),
        ignore_(ignore && !ignore->empty() ? ignore : nullptr) {}

  Result<SourceEntry> Stat(const std::string& path) const override {
    TRY_ASSIGN(const SharedDirectory parent, OpenDirectory(ParentOf(path)));
    const std::string name = path.empty() ? "." : NameOf(path);
    if (!path.empty()) {
      TRY_ASSIGN(const bool visible, IsVisible(*parent, name, path));
      if (!visible) return NotThere(path);
    }
    TRY_ASSIGN(const struct stat st, StatAt(parent->fd.get(), name, AT_SYMLINK_NOFOLLOW));
    SourceEntry entry;
    entry.path = path;
    entry.attr = AttributesOf(st);
    // The owners of a context are not the image's.
    entry.attr.uid = entry.attr.gid = 0;
    // A socket means nothing without its process; docker build makes an empty file of it.
    if (S_ISSOCK(st.st_mode)) entry.attr.mode = S_IFREG | (st.st_mode & 07777);
    entry.inode = st.st_ino;
    entry.device = st.st_dev;
    entry.links = st.st_nlink;
    if (S_ISLNK(st.st_mode)) {
      TRY_ASSIGN(entry.link_target, ReadLinkAt(parent->fd.get(), name));
      entry.attr.size = entry.link_target.size();
    }
    if (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)) {
      TRY_ASSIGN(entry.xattrs, StoredXattrs(parent->fd.get(), path.empty() ? "" : name));
      std::erase_if(entry.xattrs, [](const tree::Xattr& x) {
        return x.name != "security.capability" && !x.name.starts_with("user.");
      });
      std::ranges::sort(entry.xattrs, {}, &tree::Xattr::name);
    }
    return entry;
  }

  Result<std::vector<std::string>> List(const std::string& path) const override {
    TRY_ASSIGN(const SharedDirectory directory, OpenDirectory(path));
    TRY_ASSIGN(std::vector<std::string> names, ListDirectory(directory->fd.get(), "."));
    if (!ignore_) return names;
    std::vector<std::string> visible;
    for (std::string& name : names) {
      const std::string child = Below(path, name);
      TRY_ASSIGN(const bool shows, Shows(child));
      if (shows) visible.push_back(std::move(name));
    }
    const auto shared = std::make_shared<const std::vector<std::string>>(visible);
    const MutexLock lock(mu_);
    directory->visible = shared;
    return visible;
  }

  Result<UniqueFd> Open(const std::string& path) const override {
    if (path.empty()) return NotThere(path);
    TRY_ASSIGN(const SharedDirectory parent, OpenDirectory(ParentOf(path)));
    const std::string name = NameOf(path);
    TRY_ASSIGN(const bool visible, IsVisible(*parent, name, path));
    if (!visible) return NotThere(path);
    // A FIFO that took the file's place must not make anybody wait.
    TRY_ASSIGN(UniqueFd fd,
               OpenAt(parent->fd.get(), name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY));
    struct stat st;
    if (fstat(fd.get(), &st) != 0) return Errno("fstat");
    if (!S_ISREG(st.st_mode)) return Invalid("/" + path + " is not a regular file", EAGAIN);
    return fd;
  }

 private:
  using SharedDirectory = std::shared_ptr<OpenedDirectory>;

  static std::unexpected<Error> NotThere(const std::string& path) {
    return Fail(ENOENT, "open /" + path);
  }

  // Directories stay open for a while: files are asked for one directory after the other. Each is
  // opened from its parent, so no symlink is followed and ".." has no meaning.
  Result<SharedDirectory> OpenDirectory(std::string_view path) const {
    if (path.empty()) return root_;
    if (SharedDirectory known = Known(path)) return known;
    TRY_ASSIGN(const SharedDirectory parent, OpenDirectory(ParentOf(path)));
    const std::string name = NameOf(path);
    if (name.empty() || name == "..") return NotThere(std::string(path));
    auto opened = OpenAt(parent->fd.get(), name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (!opened) {
      const int code = opened.error().code();
      if (code == ENOTDIR || code == ELOOP) return NotThere(std::string(path));
      return std::unexpected(opened.error());
    }
    auto directory = std::make_shared<OpenedDirectory>(std::move(*opened));
    const MutexLock lock(mu_);
    known_[next_++ % kOpenDirectories] = {std::string(path), directory};
    return directory;
  }

  SharedDirectory Known(std::string_view path) const {
    const MutexLock lock(mu_);
    for (const auto& [known, directory] : known_) {
      if (directory && known == path) return directory;
    }
    return nullptr;
  }

  // Whether `path`, called `name` in `parent`, is there as far as ignoring goes.
  Result<bool> IsVisible(const OpenedDirectory& parent, const std::string& name,
                         const std::string& path) const {
    if (name.empty() || name == "..") return false;
    if (!ignore_) return true;
    std::shared_ptr<const std::vector<std::string>> listed;
    {
      const MutexLock lock(mu_);
      listed = parent.visible;
    }
    if (listed) return std::ranges::binary_search(*listed, name);
    return Shows(path);
  }

  // Not ignored, or a directory with something in it that is not.
  Result<bool> Shows(const std::string& path) const {
    if (!ignore_->Ignores(path)) return true;
    if (!ignore_->MayKeepBelow(path)) return false;
    const auto directory = OpenDirectory(path);
    if (!directory) {
      const int code = directory.error().code();
      if (code == ENOENT || code == EACCES) return false;
      return std::unexpected(directory.error());
    }
    TRY_ASSIGN(const std::vector<std::string> names, ListDirectory((*directory)->fd.get(), "."));
    for (const std::string& name : names) {
      TRY_ASSIGN(const bool shows, Shows(Below(path, name)));
      if (shows) return true;
    }
    return false;
  }

  const SharedDirectory root_;
  const IgnoreMatcher* ignore_;
  mutable Mutex mu_;
  mutable std::array<std::pair<std::string, SharedDirectory>, kOpenDirectories> known_
      GUARDED_BY(mu_);
  mutable size_t next_ GUARDED_BY(mu_) = 0;
};

}  // namespace

Result<std::unique_ptr<SourceTree>> OpenDirectorySource(const std::string& directory,
                                                        const IgnoreMatcher* ignore) {
  TRY_ASSIGN(UniqueFd root, OpenAt(AT_FDCWD, directory, O_RDONLY | O_DIRECTORY));
  return std::make_unique<DirectorySource>(std::move(root), ignore);
}

}  // namespace veneer::build
