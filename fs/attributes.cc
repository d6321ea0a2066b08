// Attributes of inodes: stat, chmod, chown, utimens, truncate.
#include <fcntl.h>
#include <unistd.h>

#include "fs/copy_turn.h"
#include "fs/dir_stream.h"
#include "fs/overlay.h"
#include "fs/patience.h"
#include "store/base/beneath.h"
#include "store/base/fault.h"

namespace veneer::fs {

Result<struct stat> Overlay::Attr(const InodePtr& inode, const struct stat* hint,
                                  const struct stat* lower_hint) {
  struct stat st = {};
  Data data;
  bool dead;
  for (bool same = false; !same;) {
    PartialCopyPtr partial;
    {
      MutexLock lock(inode->mu);
      const Inode::Rare& rare = inode->rare();
      if (rare.shown) return *rare.shown;
      data = inode->data;
      dead = inode->dead;
      partial = rare.partial.copy;
    }
    if (!inode->has_upper()) {
      if (lower_hint != nullptr) {
        st = *lower_hint;
      } else {
        TRY_ASSIGN(st, lower_->Attr(inode->lower));
      }
      if (behaviour_.static_nlink && inode->IsDir()) st.st_nlink = 1;
      if (dead) st.st_nlink = 0;
      return st;
    }
    if (hint != nullptr && hint->st_ino == inode->upper_ino.load()) {
      st = *hint;
    } else {
      auto stat = [&]() -> Result<> {
        TRY_ASSIGN(st, StatUpper(inode));
        return {};
      };
      TRY(partial ? partial->Stat(stat, st) : stat());
    }
    // A copy-up meanwhile has its own idea of links and times until it is done.
    MutexLock lock(inode->mu);
    same = inode->data == data;
  }
  st.st_ino = inode->ino;
  st.st_dev = 0;
  // A stub has no blocks of its own: what its data takes is the honest answer to du.
  if (data == Data::kStub) st.st_blocks = (st.st_size + 4095) / 4096 * 8;
  if (inode->IsDir() && !dead) TRY(SetDirNlink(*inode, st));
  if (inode->indexed) {
    st.st_nlink = static_cast<nlink_t>(static_cast<int64_t>(st.st_nlink) + inode->link_delta);
  }
  if (data == Data::kPartial && st.st_nlink == 0) st.st_nlink = 1;  // it gets its name at the end
  if (dead) st.st_nlink = 0;
  return st;
}

namespace {

// What a change by somebody without CAP_FSETID takes from a file of this mode.
mode_t SuidBits(mode_t mode) {
  mode_t bits = mode & S_ISUID;
  if ((mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP)) bits |= S_ISGID;
  return bits;
}

}  // namespace

Result<> Overlay::ChangeMode(int fd, mode_t mode) {
  if (!upper_->stat_override().active()) return SetMode(fd, mode);
  struct stat st = {};
  if (!upper_->StatFd(fd, st)) return Errno("stat");
  st.st_mode = (st.st_mode & S_IFMT) | mode;
  return upper_->WriteOverride(FileAt(fd), st);
}

// Where the host does not know a file's capabilities it cannot take them away.
Result<> Overlay::DropCapability(int fd) {
  if (upper_->stat_override().form() != StatOverride::Form::kContainers) return {};
  auto removed = fs::RemoveXattr(FileAt(fd), upper_->StoredXattrName("security.capability"));
  if (removed || removed.error().code() == ENODATA || removed.error().code() == EPERM) return {};
  return removed;
}

Result<> Overlay::ForgetCapability(int fd, Inode& inode) {
  if (!inode.maybe_capable) return {};
  MutexLock privileges(PrivilegesOf(inode));
  if (!inode.maybe_capable) return {};
  TRY(DropCapability(fd));
  inode.maybe_capable = false;
  return {};
}

Result<> Overlay::ImposeOwner(int fd, const struct stat& st) {
  if (!upper_->stat_override().active()) {
    TRY(ChangeOwner(fd, st.st_uid, st.st_gid));
    return S_ISLNK(st.st_mode) ? Result<>() : ChangeMode(fd, st.st_mode & 07777);
  }
  if (!S_ISLNK(st.st_mode)) TRY(SetMode(fd, upper_->backing_mode()));
  return upper_->WriteOverride(FileAt(fd), st);
}

Result<> Overlay::ChangeOwner(int fd, uid_t uid, gid_t gid) {
  if (upper_->stat_override().active()) {
    struct stat st = {};
    if (!upper_->StatFd(fd, st)) return Errno("stat");
    if (uid != static_cast<uid_t>(-1)) st.st_uid = uid;
    if (gid != static_cast<gid_t>(-1)) st.st_gid = gid;
    // As the kernel does it for a local filesystem, whoever the caller is.
    if (!S_ISDIR(st.st_mode)) st.st_mode &= ~SuidBits(st.st_mode);
    TRY(upper_->WriteOverride(FileAt(fd), st));
    return DropCapability(fd);
  }
  if (fchownat(fd, "", uid, gid, AT_EMPTY_PATH) == 0) return {};
  // EINVAL: the identifier does not exist in this user namespace.
  if (ownership_.squashes() && (errno == EPERM || errno == EINVAL)) return {};
  return Errno("chown");
}

// A merged directory has the lower's subdirectories and those the upper adds, less those it hides.
Result<> Overlay::SetDirNlink(Inode& dir, struct stat& st) {
  if (behaviour_.static_nlink) {
    st.st_nlink = 1;
    return {};
  }
  if (!dir.lower) return {};
  TRY_ASSIGN(struct stat below, lower_->Attr(dir.lower));
  st.st_nlink = below.st_nlink;
  if (below.st_nlink < 2) return {};  // not known, by the convention for it
  {
    MutexLock lock(dir.mu);
    if (dir.dir->nlink_delta) {
      st.st_nlink += static_cast<nlink_t>(*dir.dir->nlink_delta);
      return {};
    }
  }
  ReadLock entries(dir.dir->entries);
  TRY_ASSIGN(SharedFd fd, UpperDir(dir.shared_from_this()));
  TRY_ASSIGN(DirStream stream, DirStream::Open(fd->get()));
  int delta = 0;
  for (;;) {
    TRY_ASSIGN(const struct dirent* entry, stream.Next());
    if (entry == nullptr) break;
    TRY_ASSIGN(LowerRef lower, lower_->Lookup(dir.lower, entry->d_name));
    delta += (entry->d_type == DT_DIR ? 1 : 0) - (lower.IsDir() ? 1 : 0);
  }
  MutexLock lock(dir.mu);
  dir.dir->nlink_delta = delta;
  st.st_nlink += static_cast<nlink_t>(delta);
  return {};
}

void Overlay::CountSubdirectory(Inode& dir, int change) {
  MutexLock lock(dir.mu);
  if (dir.dir->nlink_delta) *dir.dir->nlink_delta += change;
}

Result<struct stat> Overlay::GetAttr(NodeId node) {
  TRY_ASSIGN(InodePtr inode, inodes_.Find(node));
  TRY_ASSIGN(struct stat st, Attr(inode));
  return ownership_.Shown(st);
}

Result<std::optional<timespec>> Overlay::BirthTime(NodeId node) {
  TRY_ASSIGN(InodePtr inode, inodes_.Find(node));
  if (!inode->has_upper()) return lower_->BirthTime(inode->lower);
  TRY_ASSIGN(SharedFd fd, OpenUpper(inode, O_PATH));
  return BirthTimeAt(fd->get(), "");
}

// What the kernel does for a local filesystem's write(2) and truncate(2) by a caller without
// CAP_FSETID; the daemon itself has it, so the host's filesystem does not do it for us.
// `fd` may be O_PATH.
Result<> Overlay::ClearSuid(int fd, Inode& inode, const KillSuid& in_group) {
  if (!inode.maybe_suid) return {};
  MutexLock privileges(PrivilegesOf(inode));
  if (!inode.maybe_suid) return {};
  struct stat st = {};
  if (!upper_->StatFd(fd, st)) return Errno("stat");
  mode_t clear = SuidBits(st.st_mode);
  if ((st.st_mode & S_ISGID) != 0 && !in_group(ownership_.Shown(st).st_gid)) clear |= S_ISGID;
  if (clear != 0) TRY(ChangeMode(fd, st.st_mode & 07777 & ~clear));
  inode.maybe_suid = (st.st_mode & ~clear & (S_ISUID | S_ISGID)) != 0;
  return {};
}

Result<struct stat> Overlay::SetAttr(NodeId node, const AttrChange& change) {
  TRY_ASSIGN(InodePtr inode, inodes_.Find(node));
  TRY(RequireUpper());
  TRY_ASSIGN(Passage passage, gate_.Enter());
  if (change.size && inode->IsDir()) return Fail(EISDIR, "truncate");
  Need need = !change.size ? Need::kAttributes : *change.size == 0 ? Need::kEmpty : Need::kData;
  TRY(EnsureUpper(inode, need));
  if (change.size && (inode->pending || PartialOf(*inode))) TRY(RequirePatience("truncate"));
  std::optional<CopyTurn> turn;
  TRY(HoldStub(inode, turn));
  // Data that comes later may take these away.
  if (change.mode && (*change.mode & (S_ISUID | S_ISGID)) != 0) TRY(AwaitWhole(inode));
  TRY(FaultPoint("setattr.before_change"));
  TRY_ASSIGN(SharedFd fd, OpenUpper(inode, O_PATH));
  if (change.mode) {
    MutexLock privileges(PrivilegesOf(*inode));
    inode->maybe_suid = true;
    TRY(ChangeMode(fd->get(), *change.mode & 07777));
  }
  // Before the owner changes: the old group decides.
  if (change.kill_suidgid && !change.size && !change.mode && !inode->IsDir() &&
      !S_ISLNK(inode->type)) {
    bool capability_only = inode->capability_removed.exchange(false) && change.may_keep_suid;
    if (!capability_only) TRY(ClearSuid(fd->get(), *inode, change.kill_suidgid));
  }
  if (change.uid || change.gid) {
    auto uid = static_cast<uid_t>(-1);
    auto gid = static_cast<gid_t>(-1);
    if (change.uid) {
      TRY_ASSIGN(uid, ownership_.UidOnDisk(*change.uid));
    }
    if (change.gid) {
      TRY_ASSIGN(gid, ownership_.GidOnDisk(*change.gid));
    }
    MutexLock privileges(PrivilegesOf(*inode));
    TRY(ChangeOwner(fd->get(), uid, gid));
  }
  if (change.size) {
    // A descriptor that is open for writing still may, whatever the file's mode or flags say now.
    SharedFd data;
    {
      MutexLock lock(inode->mu);
      if (inode->backing && inode->backing->upper && inode->backing->writable) {
        data = SharedFd(inode->backing, &inode->backing->fd);
      }
    }
    if (!data) {
      TRY_ASSIGN(data, OpenUpper(inode, O_WRONLY));
    }
    if (change.kill_suidgid) TRY(ClearSuid(data->get(), *inode, change.kill_suidgid));
    TRY(ForgetCapability(data->get(), *inode));
    TRY(TruncateData(inode, data->get(), *change.size));
  }
  if (change.atime || change.mtime) {
    timespec times[2] = {change.atime.value_or(timespec{0, UTIME_OMIT}),
                         change.mtime.value_or(timespec{0, UTIME_OMIT})};
    std::unique_lock<std::mutex> still;
    if (PartialCopyPtr partial = PartialOf(*inode)) still = partial->HoldFile();
    if (utimensat(fd->get(), "", times, AT_EMPTY_PATH) != 0) return Errno("utimens");
  }
  TRY_ASSIGN(struct stat st, Attr(inode));
  return ownership_.Shown(st);
}

Result<> Overlay::Access(NodeId node, int mask, const Caller& caller) {
  TRY_ASSIGN(InodePtr inode, inodes_.Find(node));
  TRY_ASSIGN(struct stat st, GetAttr(node));
  if (caller.uid == 0) {
    if ((mask & X_OK) != 0 && !inode->IsDir() && (st.st_mode & 0111) == 0) {
      return Fail(EACCES, "access");
    }
    return {};
  }
  unsigned bits = st.st_uid == caller.uid   ? st.st_mode >> 6
                  : st.st_gid == caller.gid ? st.st_mode >> 3
                                            : st.st_mode;
  if ((static_cast<unsigned>(mask) & 7u & ~bits) != 0) return Fail(EACCES, "access");
  return {};
}

Result<std::string> Overlay::ReadLink(NodeId node) {
  TRY_ASSIGN(InodePtr inode, inodes_.Find(node));
  if (!S_ISLNK(inode->type)) return Fail(EINVAL, "readlink");
  if (!inode->has_upper()) return lower_->LinkTarget(inode->lower);
  TRY_ASSIGN(SharedFd fd, OpenUpper(inode, O_PATH));
  std::string target(PATH_MAX, '\0');
  ssize_t n = readlinkat(fd->get(), "", target.data(), target.size());
  if (n < 0) return Errno("readlink");
  target.resize(static_cast<size_t>(n));
  return target;
}

Result<struct statvfs> Overlay::StatFs() { return upper_ ? upper_->StatFs() : lower_->StatFs(); }

}  // namespace veneer::fs
