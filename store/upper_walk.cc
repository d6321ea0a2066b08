#include "store/upper_walk.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "store/base/beneath.h"
#include "store/directory.h"
#include "store/file_facts.h"
#include "store/markers.h"

namespace veneer {
namespace {

using tree::Ino;
using tree::kNoIno;

constexpr size_t kMaxDepth =
    1024;  // each level holds a descriptor, and a path so deep is beyond PATH_MAX soon

bool SameAttributes(const tree::Attributes& a, const tree::Attributes& b) {
  return a.mode == b.mode && a.uid == b.uid && a.gid == b.gid && a.mtime_sec == b.mtime_sec &&
         a.mtime_nsec == b.mtime_nsec;
}

bool SameXattrs(const std::vector<tree::Xattr>& a, const std::vector<tree::Xattr>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& x, const auto& y) {
    return x.name == y.name && x.value == y.value;
  });
}

std::string Join(const std::string& directory, std::string_view name) {
  return directory.empty() ? std::string(name) : directory + "/" + std::string(name);
}

// One entry of an upper, with its markers taken apart.
struct UpperEntry {
  struct stat st;
  UniqueFd file;                    // regular files that could be opened: O_RDONLY
  std::vector<tree::Xattr> xattrs;  // the user's
  bool whiteout = false;
  bool opaque = false;
  std::optional<std::string> redirect;
  std::optional<markers::Metacopy> metacopy;
};

class Walker {
 public:
  Walker(const tree::MergedTree& chain, const std::function<Result<>(const UpperChange&)>& visit)
      : chain_(chain), visit_(visit) {}

  Result<> Walk(int upper_fd) {
    TRY_ASSIGN(prefix_, UpperPrefix(upper_fd));
    TRY_ASSIGN(UpperEntry root, Read(upper_fd, ""));
    TRY_ASSIGN(UniqueFd dir, OpenAt(upper_fd, ".", O_RDONLY | O_DIRECTORY));
    TRY_ASSIGN(UpperChange change, DirectoryChange("", &root, tree::kRootIno, tree::kRootIno));
    TRY(Directory(std::move(change), std::move(dir), tree::kRootIno, tree::kRootIno,
                  /*covered=*/false));
    return NamesLeftBehind(upper_fd);
  }

 private:
  // A directory that may turn out not to be worth mentioning: given to the visitor with the first
  // change below it.
  struct Pending {
    UpperChange change;
    bool given = false;
  };

  // The upper's root says which prefix its markers carry (docs/upper-format.md).
  static Result<std::string_view> UpperPrefix(int upper_fd) {
    std::string user = std::string(markers::kUserPrefix) + std::string(markers::kUpper);
    std::string trusted = std::string(markers::kTrustedPrefix) + std::string(markers::kUpper);
    std::string root = FdPath(upper_fd) + "/.";
    if (lgetxattr(root.c_str(), trusted.c_str(), nullptr, 0) >= 0) return markers::kTrustedPrefix;
    bool unprivileged = lgetxattr(root.c_str(), user.c_str(), nullptr, 0) >= 0;
    return unprivileged ? markers::kUserPrefix : markers::kTrustedPrefix;
  }

  Result<UpperEntry> Read(int dirfd, const std::string& name) {
    UpperEntry entry;
    TRY_ASSIGN(entry.st, StatAt(dirfd, name.empty() ? "." : name, AT_SYMLINK_NOFOLLOW));
    if (markers::IsWhiteoutDevice(entry.st.st_mode, entry.st.st_rdev)) {
      entry.whiteout = true;
      return entry;
    }
    // One walk to a file's name is enough for its attributes and its content.
    if (S_ISREG(entry.st.st_mode)) {
      auto opened = OpenAt(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
      if (opened) entry.file = std::move(*opened);
    }
    TRY_ASSIGN(auto stored,
               entry.file ? StoredXattrs(entry.file.get()) : StoredXattrs(dirfd, name));
    for (tree::Xattr& x : stored) {
      if (auto seen = markers::UserXattrName(x.name)) {
        entry.xattrs.push_back({std::move(*seen), std::move(x.value)});
        continue;
      }
      if (!x.name.starts_with(prefix_)) continue;
      std::string_view marker = std::string_view(x.name).substr(prefix_.size());
      if (marker == markers::kOpaque) entry.opaque = x.value == "y";
      if (marker == markers::kRedirect) entry.redirect = x.value;
      if (marker == markers::kMetacopy) {
        entry.metacopy = markers::ParseMetacopy(x.value);
        if (!entry.metacopy)
          return Invalid("'" + name + "' in the upper has a metacopy marker of another form",
                         EBADMSG);
      }
      if (marker == markers::kWhiteout && S_ISREG(entry.st.st_mode) && entry.st.st_size == 0)
        entry.whiteout = true;
    }
    std::sort(entry.xattrs.begin(), entry.xattrs.end(),
              [](const auto& a, const auto& b) { return a.name < b.name; });
    return entry;
  }

  Result<Ino> Child(Ino directory, std::string_view name, bool directories_only) const {
    if (directory == kNoIno) return kNoIno;
    TRY_ASSIGN(auto entry, chain_.Lookup(directory, name));
    if (!entry || (directories_only && entry->type != DT_DIR)) return kNoIno;
    return entry->ino;
  }

  // The chain's directory that shows through an upper directory called `name`, whose parent merges
  // with `source`.
  Result<Ino> SourceOf(const UpperEntry& entry, Ino source, const std::string& name) const {
    if (entry.opaque) return kNoIno;
    if (!entry.redirect) return Child(source, name, true);
    if (!entry.redirect->starts_with('/')) return Child(source, *entry.redirect, true);
    TRY_ASSIGN(auto ino, chain_.LookupPath(*entry.redirect));
    if (!ino) return kNoIno;
    TRY_ASSIGN(tree::Inode inode, chain_.Get(*ino));
    return S_ISDIR(inode.attr.mode) ? *ino : kNoIno;
  }

  Result<> Give(const UpperChange& change) {
    for (Pending* directory : pending_) {
      if (directory->given) continue;
      directory->given = true;
      given_directories_.insert(directory->change.path);
      TRY(visit_(directory->change));
    }
    if (S_ISDIR(change.attr.mode)) given_directories_.insert(change.path);
    return visit_(change);
  }

  // The change that a directory itself is. `entry` null: it is in the chain alone, at `source`.
  Result<UpperChange> DirectoryChange(const std::string& path, const UpperEntry* entry, Ino source,
                                      Ino base) {
    UpperChange change;
    change.path = path;
    change.kind = base == kNoIno ? ChangeKind::kAdded : ChangeKind::kModified;
    if (entry) {
      change.attr = AttributesOf(entry->st);
      change.xattrs = entry->xattrs;
    } else {
      TRY_ASSIGN(tree::Inode inode, chain_.Get(source));
      change.attr = inode.attr;
      TRY_ASSIGN(change.xattrs, chain_.Xattrs(source));
    }
    return change;
  }

  Result<bool> DiffersFromBase(const UpperChange& change, Ino base) const {
    if (base == kNoIno) return true;
    TRY_ASSIGN(tree::Inode inode, chain_.Get(base));
    if (!SameAttributes(change.attr, inode.attr)) return true;
    TRY_ASSIGN(auto xattrs, chain_.Xattrs(base));
    return !SameXattrs(change.xattrs, xattrs);
  }

  // Walks one directory. `upper` may be empty (nothing of it is in the upper), `source` is the
  // chain's directory that shows through it, `base` the chain's directory of the same path. Where
  // the two differ, or an opaque directory above hides `base` (`covered`), everything visible is
  // part of the layer.
  Result<> Directory(UpperChange self, UniqueFd upper, Ino source, Ino base, bool covered) {
    if (pending_.size() >= kMaxDepth) {
      return Invalid("'/" + self.path.substr(0, 80) + "…' is nested deeper than " +
                         std::to_string(kMaxDepth) + " directories",
                     ENAMETOOLONG);
    }
    const bool whole = source != base || (covered && base != kNoIno);
    const std::string path = self.path;
    Pending pending{std::move(self)};
    pending.change.opaque = whole && base != kNoIno && !covered;
    TRY_ASSIGN(bool differs, DiffersFromBase(pending.change, base));
    pending.change.unchanged = whole && !differs && source == base;
    if (differs || whole) {
      pending.given = true;
      TRY(Give(pending.change));
    }
    pending_.push_back(&pending);
    auto walked = Entries(path, upper.get(), source, base, whole, covered || whole);
    pending_.pop_back();
    return walked;
  }

  Result<> Entries(const std::string& path, int upper, Ino source, Ino base, bool whole,
                   bool covered) {
    std::map<std::string, bool> names;  // name → it is in the upper
    if (whole && source != kNoIno) {
      TRY(chain_.ForEach(source, "", [&](const tree::DirEntry& e) {
        names.emplace(e.name, false);
        return true;
      }));
    }
    if (upper >= 0) {
      TRY_ASSIGN(auto listed, ListDirectory(upper, "."));
      for (std::string& name : listed) names.insert_or_assign(std::move(name), true);
    }
    std::set<std::string> hidden;  // names of a whole directory that whiteouts took away
    for (const auto& [name, in_upper] : names) {
      if (!in_upper) {
        TRY(FromChain(Join(path, name), source, base, name));
        continue;
      }
      TRY_ASSIGN(UpperEntry entry, Read(upper, name));
      if (!entry.whiteout) {
        TRY(FromUpper(Join(path, name), upper, name, entry, source, base, covered));
      } else if (whole) {
        hidden.insert(name);
      } else {
        TRY_ASSIGN(Ino gone, Child(base, name, false));
        if (gone != kNoIno) TRY(Deleted(Join(path, name), false));
      }
    }
    if (!whole || base == kNoIno) return {};
    std::vector<std::string> deleted;
    TRY(chain_.ForEach(base, "", [&](const tree::DirEntry& e) {
      std::string name(e.name);
      if (!names.contains(name) || hidden.contains(name)) deleted.push_back(std::move(name));
      return true;
    }));
    for (const std::string& name : deleted) TRY(Deleted(Join(path, name), true));
    return {};
  }

  Result<> Deleted(const std::string& path, bool covered) {
    UpperChange change;
    change.path = path;
    change.kind = ChangeKind::kDeleted;
    change.covered = covered;
    return Give(change);
  }

  // An entry that stands in the upper.
  Result<> FromUpper(const std::string& path, int upper, const std::string& name, UpperEntry& entry,
                     Ino source, Ino base, bool covered) {
    if (S_ISSOCK(entry.st.st_mode)) return {};
    if (S_ISDIR(entry.st.st_mode)) {
      TRY_ASSIGN(Ino child_source, SourceOf(entry, source, name));
      TRY_ASSIGN(Ino child_base, Child(base, name, true));
      TRY_ASSIGN(UpperChange change, DirectoryChange(path, &entry, child_source, child_base));
      TRY_ASSIGN(Ino there, Child(base, name, false));
      if (there != kNoIno) change.kind = ChangeKind::kModified;
      TRY_ASSIGN(UniqueFd dir, OpenAt(upper, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
      return Directory(std::move(change), std::move(dir), child_source, child_base, covered);
    }
    UpperChange change;
    change.path = path;
    TRY_ASSIGN(Ino there, Child(base, name, false));
    change.kind = there == kNoIno ? ChangeKind::kAdded : ChangeKind::kModified;
    change.attr = AttributesOf(entry.st);
    change.xattrs = entry.xattrs;
    if (S_ISLNK(entry.st.st_mode)) {
      TRY_ASSIGN(change.link_target, ReadLinkAt(upper, name));
    }
    if (S_ISREG(entry.st.st_mode)) {
      if (entry.metacopy) {
        change.object = entry.metacopy->object;
        change.attr.size = entry.metacopy->size;
      } else {
        change.open = [upper, &name, &entry]() -> Result<UniqueFd> {
          if (entry.file) return std::move(entry.file);
          return OpenAt(upper, name, O_RDONLY | O_NOFOLLOW);
        };
      }
    }
    if (entry.st.st_nlink > 1) {
      auto [first, is_new] = upper_links_.try_emplace({entry.st.st_dev, entry.st.st_ino}, path);
      if (!is_new) change.hard_link = first->second;
    }
    return Give(change);
  }

  // An entry of the chain that a moved directory carries along.
  Result<> FromChain(const std::string& path, Ino source, Ino base, const std::string& name) {
    TRY_ASSIGN(Ino ino, Child(source, name, false));
    if (ino == kNoIno) return {};
    TRY_ASSIGN(tree::Inode inode, chain_.Get(ino));
    TRY_ASSIGN(Ino there, Child(base, name, false));
    if (S_ISDIR(inode.attr.mode)) {
      TRY_ASSIGN(Ino child_base, Child(base, name, true));
      TRY_ASSIGN(UpperChange change, DirectoryChange(path, nullptr, ino, child_base));
      if (there != kNoIno) change.kind = ChangeKind::kModified;
      return Directory(std::move(change), UniqueFd(), ino, child_base, /*covered=*/true);
    }
    UpperChange change;
    change.path = path;
    change.kind = there == kNoIno ? ChangeKind::kAdded : ChangeKind::kModified;
    change.unchanged = there == ino;
    change.attr = inode.attr;
    TRY_ASSIGN(change.xattrs, chain_.Xattrs(ino));
    if (S_ISLNK(inode.attr.mode)) {
      TRY_ASSIGN(change.link_target, chain_.LinkTarget(ino));
    }
    if (S_ISREG(inode.attr.mode)) change.object = inode.object;
    if (inode.nlink > 1) {
      auto [first, is_new] = chain_links_.try_emplace(ino, path);
      if (!is_new) change.hard_link = first->second;
    }
    return Give(change);
  }

  // A moved directory carried files along that have other names outside of it. The layer makes a
  // new file of each, so it must say those names again too, or they would stay with the old one.
  Result<> NamesLeftBehind(int upper_fd) {
    const std::map<Ino, std::string> carried = chain_links_;
    for (const auto& [ino, first] : carried) {
      TRY_ASSIGN(auto names, chain_.Names(ino));
      for (const tree::NameOf& name : names) {
        TRY_ASSIGN(auto path, PathInChain(name));
        TRY_ASSIGN(bool visible, ShowsThrough(upper_fd, path));
        if (visible) TRY(GiveLink(path, ino, first));
      }
    }
    return {};
  }

  Result<std::vector<std::string>> PathInChain(const tree::NameOf& name) const {
    std::vector<std::string> path = {name.name};
    for (Ino dir = name.parent; dir != tree::kRootIno && path.size() < kMaxDepth;) {
      TRY_ASSIGN(auto names, chain_.Names(dir));
      if (names.empty()) return Fail(EBADMSG, "names of a directory");
      path.push_back(names.front().name);
      dir = names.front().parent;
    }
    std::reverse(path.begin(), path.end());
    return path;
  }

  // Whether the chain's entry at `path` is what the mount shows there.
  Result<bool> ShowsThrough(int upper_fd, const std::vector<std::string>& path) {
    TRY_ASSIGN(UniqueFd dir, OpenAt(upper_fd, ".", O_RDONLY | O_DIRECTORY));
    Ino ino = tree::kRootIno;
    for (const std::string& name : path) {
      auto entry = Read(dir.get(), name);
      if (!entry) {
        if (entry.error().code() == ENOENT) return true;
        return std::unexpected(entry.error());
      }
      if (entry->whiteout || !S_ISDIR(entry->st.st_mode)) return false;
      TRY_ASSIGN(Ino source, SourceOf(*entry, ino, name));
      TRY_ASSIGN(ino, Child(ino, name, true));
      if (source != ino || ino == kNoIno) return false;
      TRY_ASSIGN(dir, OpenAt(dir.get(), name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    }
    return false;
  }

  Result<> GiveLink(const std::vector<std::string>& path, Ino ino, const std::string& first) {
    std::string at;
    Ino dir = tree::kRootIno;
    for (size_t i = 0; i + 1 < path.size(); ++i) {
      at = Join(at, path[i]);
      TRY_ASSIGN(dir, Child(dir, path[i], true));
      if (given_directories_.contains(at)) continue;
      TRY_ASSIGN(UpperChange parent, DirectoryChange(at, nullptr, dir, dir));
      parent.unchanged = true;
      TRY(Give(parent));
    }
    TRY_ASSIGN(tree::Inode inode, chain_.Get(ino));
    UpperChange link;
    link.path = Join(at, path.back());
    link.kind = ChangeKind::kModified;
    link.unchanged = true;
    link.attr = inode.attr;
    link.hard_link = first;
    return Give(link);
  }

  const tree::MergedTree& chain_;
  const std::function<Result<>(const UpperChange&)>& visit_;
  std::string_view prefix_;
  std::vector<Pending*> pending_;
  std::map<std::pair<dev_t, ino_t>, std::string> upper_links_;
  std::map<Ino, std::string> chain_links_;
  std::set<std::string> given_directories_;
};

}  // namespace

Result<> WalkUpper(int upper_fd, const tree::MergedTree& chain,
                   const std::function<Result<>(const UpperChange&)>& visit) {
  return Walker(chain, visit).Walk(upper_fd);
}

}  // namespace veneer
