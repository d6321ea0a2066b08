#include "fs/tree_lower.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>

#include "fs/log.h"
#include "fs/read_only_clone.h"
#include "store/base/beneath.h"
#include "store/markers.h"

namespace veneer::fs {

namespace {

LowerRef RefOf(tree::Ino ino, mode_t type) { return {.ino = ino, .type = type, .node = {}}; }

std::string ObjectPath(const ObjectId& object) {
  std::string hex = object.Hex();
  return hex.substr(0, 2) + "/" + hex.substr(2);
}

}  // namespace

TreeLower::~TreeLower() = default;

Result<std::unique_ptr<TreeLower>> TreeLower::Open(const std::string& chain,
                                                   const std::string& objects) {
  std::unique_ptr<TreeLower> lower(new TreeLower());
  auto objects_fd = OpenReadOnlyClone(objects, O_PATH);
  if (!objects_fd) return std::unexpected(objects_fd.error().Within("objects folder " + objects));
  lower->objects_ = std::move(*objects_fd);
  if (chain == "none") {
    lower->name_ = chain;
    lower->tree_ = tree::MergedTree::Empty();
    return lower;
  }
  size_t slash = chain.rfind('/');
  std::string dir = slash == chain.npos ? "." : slash == 0 ? "/" : chain.substr(0, slash);
  lower->name_ = slash == chain.npos ? chain : chain.substr(slash + 1);
  auto dir_fd = OpenAt(AT_FDCWD, dir, O_RDONLY | O_DIRECTORY);
  if (!dir_fd) return std::unexpected(dir_fd.error().Within("chain " + chain));
  lower->dir_ = std::move(*dir_fd);
  auto tree = tree::MergedTree::Open(lower->dir_.get(), lower->name_);
  if (!tree) {
    if (tree.error().code() == EBADMSG) lower->SetAside();
    return std::unexpected(tree.error().Within("chain " + chain));
  }
  lower->tree_ = std::move(*tree);
  return lower;
}

template <typename T>
Result<T> TreeLower::Checked(Result<T> result) {
  if (result || result.error().code() != EBADMSG) return result;
  if (!set_aside_.exchange(true)) {
    Log(LogLevel::kError, "chain {}: {}", name_, result.error().Message());
    SetAside();
  }
  return Fail(EIO, result.error().context());
}

// The damaged file may be the chain's own or one of the bases below it. Each of them is a chain's
// tree by itself, so the lowest that does not verify is the one to move; what is built on it is
// found missing and rebuilt too.
void TreeLower::SetAside() {
  std::vector<std::string> names = {name_};
  if (tree_) names = tree_->file_names();
  std::string damaged = names.empty() ? name_ : names.front();
  for (auto it = names.rbegin(); it != names.rend(); ++it) {
    auto alone = tree::MergedTree::Open(dir_.get(), *it);
    if (!alone || !(*alone)->VerifyAll()) {
      damaged = *it;
      break;
    }
  }
  std::string aside = damaged + ".damaged";
  if (renameat(dir_.get(), damaged.c_str(), dir_.get(), aside.c_str()) == 0) {
    Log(LogLevel::kError, "chain {}: renamed the damaged file to {}", name_, aside);
  }
}

Result<LowerRef> TreeLower::Root() { return RefOf(tree::kRootIno, S_IFDIR); }

Result<LowerRef> TreeLower::Lookup(const LowerRef& dir, std::string_view name) {
  TRY_ASSIGN(auto entry, Checked(tree_->Lookup(dir.ino, name)));
  if (!entry || entry->ino == tree::kNoIno) return LowerRef{};
  return RefOf(entry->ino, DTTOIF(entry->type));
}

Result<struct stat> TreeLower::Attr(const LowerRef& ref) {
  TRY_ASSIGN(tree::Inode inode, Checked(tree_->Get(ref.ino)));
  struct stat st = {};
  st.st_ino = ref.ino;
  // Permissions of a symlink mean nothing, and no host shows others; tars carry what they like.
  st.st_mode = S_ISLNK(inode.attr.mode) ? S_IFLNK | 0777 : inode.attr.mode;
  st.st_nlink = inode.nlink;
  st.st_uid = inode.attr.uid;
  st.st_gid = inode.attr.gid;
  st.st_rdev = makedev(inode.attr.rdev_major, inode.attr.rdev_minor);
  st.st_size = static_cast<off_t>(inode.attr.size);
  // What the directory would take on a disk: programs take a directory of size 0 for something
  // special.
  if (S_ISDIR(st.st_mode)) st.st_size = 4096;
  st.st_blksize = 4096;
  st.st_blocks = S_ISLNK(st.st_mode) ? 0 : (st.st_size + 4095) / 4096 * 8;
  st.st_mtim = {.tv_sec = inode.attr.mtime_sec, .tv_nsec = inode.attr.mtime_nsec};
  st.st_ctim = st.st_atim = st.st_mtim;
  return st;
}

Result<> TreeLower::ForEach(const LowerRef& dir, const Visit& visit) {
  return Checked(tree_->ForEach(dir.ino, "", [&](const tree::DirEntry& entry) {
    return entry.ino == tree::kNoIno || visit(entry.name, entry.ino, entry.type);
  }));
}

Result<std::string> TreeLower::LinkTarget(const LowerRef& ref) {
  return Checked(tree_->LinkTarget(ref.ino));
}

Result<std::vector<std::string>> TreeLower::XattrNames(const LowerRef& ref) {
  TRY_ASSIGN(auto xattrs, Checked(tree_->Xattrs(ref.ino)));
  std::vector<std::string> names;
  names.reserve(xattrs.size());
  for (auto& xattr : xattrs) names.push_back(std::move(xattr.name));
  return names;
}

Result<std::string> TreeLower::Xattr(const LowerRef& ref, const std::string& name) {
  TRY_ASSIGN(auto xattrs, Checked(tree_->Xattrs(ref.ino)));
  for (auto& xattr : xattrs) {
    if (xattr.name == name) return std::move(xattr.value);
  }
  return Fail(ENODATA, "getxattr");
}

Result<UniqueFd> TreeLower::Open(const LowerRef& ref) {
  TRY_ASSIGN(tree::Inode inode, Checked(tree_->Get(ref.ino)));
  if (inode.attr.size == 0) {  // the empty file has no object
    UniqueFd empty(memfd_create("empty", MFD_CLOEXEC));
    if (!empty) return Errno("memfd_create");
    return OpenAt(AT_FDCWD, FdPath(empty.get()), O_RDONLY);
  }
  auto fd = OpenAt(objects_.get(), ObjectPath(inode.object), O_RDONLY | O_NOATIME | O_NOFOLLOW);
  if (!fd && fd.error().code() == EPERM) {  // O_NOATIME of somebody else's file
    fd = OpenAt(objects_.get(), ObjectPath(inode.object), O_RDONLY | O_NOFOLLOW);
  }
  if (!fd && fd.error().code() == ENOENT) {
    Log(LogLevel::kError, "object {} is missing", inode.object.Hex());
    return Fail(EIO, "object " + inode.object.Hex());
  }
  return fd;
}

Result<std::optional<DataMark>> TreeLower::MarkOf(const LowerRef& ref) {
  TRY_ASSIGN(tree::Inode inode, Checked(tree_->Get(ref.ino)));
  if (!S_ISREG(inode.attr.mode) || inode.attr.size == 0) return std::nullopt;
  markers::Metacopy mark{.object = inode.object, .size = inode.attr.size, .ino = ref.ino};
  return DataMark{.metacopy = markers::FormatMetacopy(mark), .redirect = {}};
}

Result<LowerRef> TreeLower::FromMark(const DataMark& mark, const LowerRef&, std::string_view) {
  auto data = markers::ParseMetacopy(mark.metacopy);
  if (!data) return Fail(EIO, "metacopy marker");
  auto inode = Checked(tree_->Get(data->ino));
  if (!inode || !S_ISREG(inode->attr.mode) || inode->object != data->object ||
      inode->attr.size != data->size) {
    return Fail(EIO, "stub of another chain");
  }
  return RefOf(data->ino, S_IFREG);
}

Result<std::vector<LowerName>> TreeLower::Names(const LowerRef& ref) {
  TRY_ASSIGN(auto names, Checked(tree_->Names(ref.ino)));
  std::vector<LowerName> result;
  result.reserve(names.size());
  for (auto& name : names) result.push_back({name.parent, std::move(name.name)});
  return result;
}

Result<LowerName> TreeLower::NameOfDir(uint64_t ino) {
  TRY_ASSIGN(tree::Inode inode, Checked(tree_->Get(ino)));
  LowerName result{inode.parent, {}};
  TRY(Checked(tree_->ForEach(inode.parent, "", [&](const tree::DirEntry& entry) {
    if (entry.ino != ino) return true;
    result.name = entry.name;
    return false;
  })));
  if (result.name.empty()) return Fail(EIO, "directory without a name");
  return result;
}

Result<struct statvfs> TreeLower::StatFs() {
  struct statvfs st = {};
  if (fstatvfs(objects_.get(), &st) != 0) return Errno("statvfs");
  return st;
}

}  // namespace veneer::fs
