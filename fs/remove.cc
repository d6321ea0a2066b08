// Removing names: unlink, rmdir, whiteouts, and inodes that go on being used without a name.
//
// A name that the lower has is replaced by its whiteout in one rename, so that no crash lets the
// lower's file back in.
#include <fcntl.h>
#include <sys/stat.h>

#include <optional>
#include <unordered_set>

#include "fs/dir_stream.h"
#include "fs/keep_times.h"
#include "fs/overlay.h"
#include "store/base/fault.h"

namespace veneer::fs {

namespace {

bool KeepsEntries(int dirfd) {
  struct statx stx = {};
  return statx(dirfd, "", AT_EMPTY_PATH, 0, &stx) == 0 &&
         (stx.stx_attributes & (STATX_ATTR_IMMUTABLE | STATX_ATTR_APPEND)) != 0;
}

}  // namespace

Result<bool> Overlay::LowerHas(Inode& dir, const std::string& name, const Found& found) {
  // Nothing in the upper hid the lower's entry; or both have a directory there, which merge.
  if (!found.upper && !found.whiteout) return static_cast<bool>(found.lower);
  if (found.lower && !found.marks.redirect) return true;
  if (!dir.lower) return false;
  TRY_ASSIGN(LowerRef ref, lower_->Lookup(dir.lower, name));
  return static_cast<bool>(ref);
}

Result<> Overlay::PutWhiteout(int dirfd, const std::string& name, bool replace) {
  TRY(FaultPoint("whiteout.before"));
  if (upper_->file_whiteouts()) {
    const FileAt at(dirfd);
    TRY_ASSIGN(auto opaque, upper_->ReadMark(at, markers::kOpaque));
    if (!opaque) TRY(upper_->SetMark(at, markers::kOpaque, "x"));
    replace = true;  // a whiteout in two steps is made in work
  }
  TRY(replace ? upper_->ReplaceByWhiteout(dirfd, name) : upper_->MakeWhiteout(dirfd, name));
  counters_.whiteouts.fetch_add(1, std::memory_order_relaxed);
  return FaultPoint("whiteout.after");
}

Result<SharedFd> Overlay::OpenOrphan(const InodePtr& inode) {
  if (!inode->has_upper()) return SharedFd();
  return OpenUpper(inode, O_PATH);
}

void Overlay::Bury(const InodePtr& inode, SharedFd orphan) {
  {
    MutexLock lock(inode->mu);
    inode->dead = true;
    if (orphan && !inode->rare().orphan) inode->MakeRare().orphan = std::move(orphan);
  }
  if (!inode->IsDir() && !S_ISREG(inode->type)) upper_->ForgetFile(inode->upper_ino);
  // A crash leaves nothing of it; and the queue would keep its descriptor.
  if (inode->pending.exchange(false)) to_settle_->Remove(inode);
  inodes_.Retire(*inode);
}

Result<> Overlay::LostName(const InodePtr& inode, SharedFd orphan) {
  // The names that are left may be such as the engine has not met, or not since it forgot the file:
  // they lead nobody to the upper's file.
  auto keep = [&]() -> Result<> {
    MutexLock lock(inode->mu);
    if (orphan && inode->names.empty() && !inode->rare().orphan) {
      inode->MakeRare().orphan = std::move(orphan);
    }
    return {};
  };
  if (inode->indexed) {
    TRY_ASSIGN(bool last, LostIndexedName(inode));
    if (!last) return keep();
    Bury(inode, std::move(orphan));
    TRY(FaultPoint("unlink.before_index"));
    return index_->Remove(inode->ino);
  }
  if (inode->has_upper()) {
    struct stat st = {};
    if (orphan && fstat(orphan->get(), &st) == 0 && st.st_nlink > 0) return keep();
  }
  Bury(inode, std::move(orphan));
  return {};
}

Result<bool> Overlay::HasAllNames(Inode& file, const Found& found) {
  if (!file.lower) return true;
  {
    // has_upper() alone does not tell: it holds from the first of several links on, and a name that
    // goes before the copy-up has got to it would fail that.
    MutexLock lock(file.mu);
    if (file.has_upper() && !file.copying) return true;
  }
  if (!found.upper && found.lower_attr) return found.lower_attr->st_nlink <= 1;
  TRY_ASSIGN(struct stat st, lower_->Attr(file.lower));
  return st.st_nlink <= 1;
}

Result<> Overlay::EnsureAllNames(const InodePtr& file, const Found& found) {
  TRY_ASSIGN(bool all, HasAllNames(*file, found));
  return all ? Result<>() : EnsureUpper(file, Need::kAttributes);
}

Result<> Overlay::Unlink(NodeId parent, const std::string& name) {
  TRY(RequireUpper());
  TRY(CheckName(name, false));
  TRY_ASSIGN(Passage passage, gate_.Enter());
  TRY_ASSIGN(InodePtr dir, inodes_.Find(parent));
  if (!dir->IsDir()) return Fail(ENOTDIR, "unlink");
  InodePtr ready;  // what is needed of it in the upper is there
  for (;;) {
    InodePtr child;
    Found found;
    {
      EntriesLock entries(*dir->dir);
      TRY_ASSIGN(child, Child(dir, name, &found));
      if (!child) return Fail(ENOENT, "unlink");
      if (child->IsDir()) return Fail(EISDIR, "unlink");
      bool all_names = child == ready;
      if (!all_names) {
        TRY_ASSIGN(all_names, HasAllNames(*child, found));
      }
      if (all_names && dir->has_upper()) return UnlinkLocked(dir, name, child, std::move(found));
    }
    // The names of a linked file are counted in the upper, all of them or none. Copying takes time,
    // and locks of its own: not under this one.
    TRY(EnsureAllNames(child, found));
    TRY(EnsureUpperDir(dir));
    ready = std::move(child);
  }
}

Result<> Overlay::UnlinkLocked(const InodePtr& dir, const std::string& name, const InodePtr& child,
                               Found found) {
  TRY_ASSIGN(bool hides, LowerHas(*dir, name, found));
  TRY_ASSIGN(SharedFd fd, UpperDir(dir));
  TRY_ASSIGN(SharedFd orphan, OpenOrphan(child));
  if (child->indexed && !found.upper) {  // links are what is counted
    TRY(LinkFromIndex(child, found.lower, *dir, fd->get(), name));
    found.upper = true;
  }
  auto counting = CountingNames(*child);
  if (hides) {
    TRY(PutWhiteout(fd->get(), name, found.upper));
  } else {
    TRY(FaultPoint("unlink.before"));
    if (unlinkat(fd->get(), name.c_str(), 0) != 0) return Errno("unlink");
    TRY(FaultPoint("unlink.after"));
  }
  child->RemoveName(dir.get(), name);
  return LostName(child, std::move(orphan));
}

Result<bool> Overlay::IsEmpty(const InodePtr& dir) {
  std::unordered_set<std::string> whiteouts;
  if (dir->has_upper()) {
    TRY_ASSIGN(SharedFd fd, UpperDir(dir));
    TRY_ASSIGN(DirStream stream, DirStream::Open(fd->get()));
    for (;;) {
      TRY_ASSIGN(const struct dirent* entry, stream.Next());
      if (entry == nullptr) break;
      std::string name = entry->d_name;
      struct stat st = {};
      if (fstatat(fd->get(), name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) {
        if (errno == ENOENT) continue;
        return Errno("stat");  // what cannot be looked at is not gone
      }
      if (!upper_->IsWhiteout(fd->get(), name, st)) return false;
      whiteouts.insert(std::move(name));
    }
  }
  bool empty = true;
  if (dir->lower) {
    TRY(lower_->ForEach(dir->lower, [&](std::string_view name, uint64_t, uint8_t) {
      empty = whiteouts.contains(std::string(name));
      return empty;
    }));
  }
  return empty;
}

Result<> Overlay::RemoveDir(NodeId parent, const std::string& name) {
  TRY(RequireUpper());
  TRY(CheckName(name, false));
  TRY_ASSIGN(Passage passage, gate_.Enter());
  TRY_ASSIGN(InodePtr dir, inodes_.Find(parent));
  if (!dir->IsDir()) return Fail(ENOTDIR, "rmdir");
  for (bool raise = false;; raise = true) {
    if (raise) TRY(EnsureUpperDir(dir));
    InodePtr child;
    SharedFd orphan;
    std::optional<KeepTimes> times;  // of who still has it open
    Temporary gone(*upper_);         // removed after the locks, with the whiteouts in it
    EntriesLock entries(*dir->dir);
    Found found;
    TRY_ASSIGN(child, Child(dir, name, &found));
    if (!child) return Fail(ENOENT, "rmdir");
    if (!child->IsDir()) return Fail(ENOTDIR, "rmdir");
    if (!dir->has_upper()) continue;
    EntriesLock child_entries(*child->dir);
    TRY_ASSIGN(bool empty, IsEmpty(child));
    TRY_ASSIGN(SharedFd fd, UpperDir(dir));
    // An immutable or append-only directory says so first.
    if (!empty) return Fail(KeepsEntries(fd->get()) ? EPERM : ENOTEMPTY, "rmdir");
    TRY_ASSIGN(bool hides, LowerHas(*dir, name, found));
    TRY_ASSIGN(orphan, OpenOrphan(child));
    if (orphan) times.emplace(orphan->get());
    if (hides && found.upper) {
      TRY(upper_->MakeWhiteout(gone.dir(), gone.name()));
      TRY(FaultPoint("rmdir.before_exchange"));
      if (renameat2(gone.dir(), gone.name().c_str(), fd->get(), name.c_str(), RENAME_EXCHANGE) !=
          0) {
        return Errno("rmdir");
      }
      TRY(FaultPoint("rmdir.after_exchange"));
      counters_.whiteouts.fetch_add(1, std::memory_order_relaxed);
    } else if (hides) {
      TRY(PutWhiteout(fd->get(), name, false));
    } else if (unlinkat(fd->get(), name.c_str(), AT_REMOVEDIR) != 0) {
      if (errno != ENOTEMPTY && errno != EEXIST) return Errno("rmdir");
      if (renameat(fd->get(), name.c_str(), gone.dir(), gone.name().c_str()) != 0) {
        return Errno("rmdir");
      }
    }
    Bury(child, orphan);
    child->RemoveName(dir.get(), name);
    CountSubdirectory(*dir, -1);
    cache_->Erase(child->dir->key);
    std::lock_guard moved(moved_mu_);
    if (child->lower) moved_.erase(child->lower.ino);
    return {};
  }
}

}  // namespace veneer::fs
