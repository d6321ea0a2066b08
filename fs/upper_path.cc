// Reaching an inode's file in the upper: no inode keeps a descriptor, so a file is found through
// its parent's and its name. Renames do not wait for that: what was reached is compared with the
// inode number that is known, and the walk is repeated when something moved meanwhile.
#include <fcntl.h>

#include <algorithm>

#include "fs/overlay.h"
#include "store/base/beneath.h"

namespace veneer::fs {

namespace {

constexpr size_t kAttempts = 64;

bool Moved(int code) { return code == ENOENT || code == ENOTDIR || code == ELOOP; }

}  // namespace

Result<SharedFd> Overlay::UpperDir(const InodePtr& dir) {
  if (dir == root_) return upper_->shared_root();
  if (SharedFd fd = cache_->Get(dir->dir->key)) return fd;
  for (size_t attempt = 0; attempt < kAttempts; ++attempt) {
    std::vector<Name> path;  // `dir` first; names to open from the nearest open ancestor
    std::vector<InodePtr> nodes = {dir};
    SharedFd fd;
    while (!fd) {
      InodePtr node = nodes.back();
      Name name;
      {
        MutexLock lock(node->mu);
        if (node == dir && node->rare().orphan) return node->rare().orphan;  // removed, in use
        if (node->names.empty()) return Fail(ENOENT, "removed directory");
        name = node->names.front();
      }
      InodePtr parent = name.parent;
      path.push_back(std::move(name));
      nodes.push_back(parent);
      fd = parent == root_ ? upper_->shared_root() : cache_->Get(parent->dir->key);
    }
    bool moved = false;
    for (size_t i = path.size(); i-- > 0 && !moved;) {
      auto next = OpenAt(fd->get(), path[i].name, O_PATH | O_DIRECTORY | O_NOFOLLOW);
      if (!next && (next.error().code() == EMFILE || next.error().code() == ENFILE)) {
        cache_->Clear();
        next = OpenAt(fd->get(), path[i].name, O_PATH | O_DIRECTORY | O_NOFOLLOW);
      }
      if (!next) {
        if (!Moved(next.error().code())) return std::unexpected(std::move(next).error());
        moved = true;
        break;
      }
      struct stat st = {};
      if (fstat(next->get(), &st) != 0) return Errno("stat");
      moved = st.st_ino != nodes[i]->upper_ino.load();
      if (!moved) fd = cache_->Put(nodes[i]->dir->key, std::move(*next));
    }
    if (!moved) return fd;
  }
  return Fail(ESTALE, "upper directory");
}

Result<Overlay::UpperAt> Overlay::Locate(const InodePtr& inode, size_t attempt) {
  if (inode->indexed) {
    LinkIndex::Place place = index_->PlaceOf(inode->ino);
    return UpperAt{std::move(place.dir), std::move(place.name)};
  }
  Name name;
  {
    MutexLock lock(inode->mu);
    if (inode->names.empty()) return Fail(ESTALE, "file without a name");
    name = inode->names[attempt % inode->names.size()];
  }
  if (!name.parent->has_upper()) return Fail(ENOENT, "upper");
  TRY_ASSIGN(SharedFd dir, UpperDir(name.parent));
  return UpperAt{std::move(dir), std::move(name.name)};
}

Result<SharedFd> Overlay::OpenUpper(const InodePtr& inode, int flags) {
  if (inode->IsDir()) {
    if ((flags & O_PATH) != 0) return UpperDir(inode);
    TRY_ASSIGN(SharedFd dir, UpperDir(inode));
    TRY_ASSIGN(UniqueFd fd, OpenAt(dir->get(), ".", flags | O_DIRECTORY));
    return std::make_shared<const UniqueFd>(std::move(fd));
  }
  flags |= O_NOFOLLOW | O_NONBLOCK;
  for (size_t attempt = 0; attempt < kAttempts; ++attempt) {
    SharedFd held;
    {
      MutexLock lock(inode->mu);
      held = inode->rare().orphan;
      if (inode->backing && inode->backing->upper) {
        held = SharedFd(inode->backing, &inode->backing->fd);
      }
    }
    if (held && (flags & O_PATH) != 0) return held;
    if (held) {
      TRY_ASSIGN(UniqueFd fd, OpenAt(AT_FDCWD, FdPath(held->get()), flags & ~O_NOFOLLOW));
      return std::make_shared<const UniqueFd>(std::move(fd));
    }
    auto at = Locate(inode, attempt);
    if (!at && (Moved(at.error().code()) || at.error().code() == ESTALE)) continue;
    if (!at) return std::unexpected(std::move(at).error());
    auto fd = OpenAt(at->dir->get(), at->name, flags);
    if (!fd && Moved(fd.error().code())) continue;
    if (!fd && fd.error().code() == EMFILE) {
      cache_->Clear();
      fd = OpenAt(at->dir->get(), at->name, flags);
    }
    if (!fd) return std::unexpected(std::move(fd).error());
    struct stat st = {};
    if (fstat(fd->get(), &st) != 0) return Errno("stat");
    if (st.st_ino == inode->upper_ino.load()) {
      return std::make_shared<const UniqueFd>(std::move(*fd));
    }
  }
  return Fail(ESTALE, "upper file");
}

Result<struct stat> Overlay::StatUpper(const InodePtr& inode) {
  struct stat st = {};
  if (!inode->IsDir()) {
    // One call for the usual case: no open descriptor, nothing moving.
    bool held = false;
    {
      MutexLock lock(inode->mu);
      held = inode->rare().orphan || (inode->backing && inode->backing->upper);
    }
    if (!held) {
      auto at = Locate(inode, 0);
      if (at && upper_->StatAt(at->dir->get(), at->name, st) &&
          st.st_ino == inode->upper_ino.load()) {
        return st;
      }
    }
  }
  TRY_ASSIGN(SharedFd fd, OpenUpper(inode, O_PATH));
  if (!upper_->StatFd(fd->get(), st)) return Errno("stat");
  return st;
}

}  // namespace veneer::fs
