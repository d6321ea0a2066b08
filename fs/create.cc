// New entries: mknod, mkdir, symlink, create, tmpfile and link.
//
// They are made right in the upper directory with the caller's identity, so that owner, group,
// umask, setgid and default ACLs are the host filesystem's own work. Where a whiteout stands, the
// entry is made in a look-alike of the directory in work, and renamed over the whiteout.
#include <fcntl.h>
#include <sys/sysmacros.h>

#include "fs/caller_scope.h"
#include "fs/overlay.h"
#include "store/base/beneath.h"
#include "store/base/fault.h"

namespace veneer::fs {

namespace {

// Gives directory `fd` what decides the ownership and ACLs of entries made in `model`.
Result<> ImitateDirectory(int fd, int model) {
  struct stat st = {};
  if (fstat(model, &st) != 0) return Errno("stat");
  if (fchownat(fd, "", st.st_uid, st.st_gid, AT_EMPTY_PATH) != 0) return Errno("chown");
  if (fchmod(fd, st.st_mode & 07777) != 0) return Errno("chmod");
  constexpr const char* kDefaultAcl = "system.posix_acl_default";
  TRY_ASSIGN(auto acl, FindXattr(FdPath(model), kDefaultAcl, XattrPath::kMagicLink));
  if (acl) TRY(SetXattr(FdPath(fd), kDefaultAcl, *acl, 0, XattrPath::kMagicLink));
  return {};
}

}  // namespace

Result<InodePtr> Overlay::MakeEntry(const InodePtr& parent, const std::string& name,
                                    const Caller* caller, const InodePtr& existing,
                                    const Make& make, struct stat* st) {
  TRY(RequireUpper());
  TRY(CheckName(name, true));
  if (!parent->IsDir()) return Fail(ENOTDIR, "create");
  TRY(EnsureUpperDir(parent));
  WriteLock entries(parent->dir->entries);
  {
    MutexLock lock(parent->mu);
    if (parent->dead) return Fail(ENOENT, "removed directory");
  }
  TRY_ASSIGN(Found found, Probe(*parent, name));
  if (found.exists()) return Fail(EEXIST, "create");
  TRY_ASSIGN(SharedFd dir, UpperDir(parent));
  bool directory = false;
  auto run = [&](int dirfd, const std::string& at) -> Result<> {
    if (caller == nullptr) return make(dirfd, at);
    TRY_ASSIGN(Caller owner, ownership_.OnDisk(*caller));
    CallerScope scope(owner);
    return make(dirfd, at);
  };
  if (!found.whiteout) {
    TRY(run(dir->get(), name));
    if (fstatat(dir->get(), name.c_str(), st, AT_SYMLINK_NOFOLLOW) != 0) return Errno("stat");
    directory = S_ISDIR(st->st_mode);
  } else {
    Temporary place(*upper_);
    if (mkdirat(place.dir(), place.name().c_str(), 0700) != 0) return Errno("mkdir");
    TRY_ASSIGN(UniqueFd fd, OpenAt(place.dir(), place.name(), O_RDONLY | O_DIRECTORY));
    TRY(ImitateDirectory(fd.get(), dir->get()));
    TRY(run(fd.get(), "new"));
    if (fstatat(fd.get(), "new", st, AT_SYMLINK_NOFOLLOW) != 0) return Errno("stat");
    directory = S_ISDIR(st->st_mode);
    if (directory) {
      TRY(upper_->SetMark(FdPath(fd.get(), "new"), XattrPath::kNoFollow, markers::kOpaque, "y"));
    }
    TRY(FaultPoint("create.before_rename"));
    // A directory cannot replace a whiteout; exchanged, the whiteout goes with the temporary
    // directory.
    if (renameat2(fd.get(), "new", dir->get(), name.c_str(), directory ? RENAME_EXCHANGE : 0) !=
        0) {
      return Errno("create");
    }
  }
  if (existing) {
    existing->AddName(parent, name);
    return existing;
  }
  if (directory) CountSubdirectory(*parent, 1);
  Found made;
  made.upper = true;
  made.st = *st;
  return InodeOf(parent, name, made);
}

Result<Entry> Overlay::MakeNode(NodeId parent, const std::string& name, mode_t mode, dev_t rdev,
                                const Caller& caller) {
  if (markers::IsWhiteoutDevice(mode, rdev)) return Fail(EPERM, "mknod of a whiteout");
  Passage passage(gate_);
  TRY_ASSIGN(InodePtr dir, inodes_.Find(parent));
  struct stat st = {};
  TRY_ASSIGN(InodePtr inode, MakeEntry(
                                 dir, name, &caller, nullptr,
                                 [&](int dirfd, const std::string& at) -> Result<> {
                                   if (mknodat(dirfd, at.c_str(), mode, rdev) != 0)
                                     return Errno("mknod");
                                   return {};
                                 },
                                 &st));
  return EntryOf(inode, &st);
}

Result<Entry> Overlay::MakeDir(NodeId parent, const std::string& name, mode_t mode,
                               const Caller& caller) {
  Passage passage(gate_);
  TRY_ASSIGN(InodePtr dir, inodes_.Find(parent));
  struct stat st = {};
  TRY_ASSIGN(InodePtr inode, MakeEntry(
                                 dir, name, &caller, nullptr,
                                 [&](int dirfd, const std::string& at) -> Result<> {
                                   if (mkdirat(dirfd, at.c_str(), mode) != 0) return Errno("mkdir");
                                   return {};
                                 },
                                 &st));
  return EntryOf(inode, &st);
}

Result<Entry> Overlay::MakeSymlink(NodeId parent, const std::string& name,
                                   const std::string& target, const Caller& caller) {
  Passage passage(gate_);
  TRY_ASSIGN(InodePtr dir, inodes_.Find(parent));
  struct stat st = {};
  TRY_ASSIGN(InodePtr inode, MakeEntry(
                                 dir, name, &caller, nullptr,
                                 [&](int dirfd, const std::string& at) -> Result<> {
                                   if (symlinkat(target.c_str(), dirfd, at.c_str()) != 0)
                                     return Errno("symlink");
                                   return {};
                                 },
                                 &st));
  return EntryOf(inode, &st);
}

Result<std::pair<Entry, HandleId>> Overlay::Create(NodeId parent, const std::string& name,
                                                   mode_t mode, int flags, const Caller& caller) {
  Passage passage(gate_);
  TRY_ASSIGN(InodePtr dir, inodes_.Find(parent));
  struct stat st = {};
  UniqueFd fd;
  TRY_ASSIGN(InodePtr inode,
             MakeEntry(
                 dir, name, &caller, nullptr,
                 [&](int dirfd, const std::string& at) -> Result<> {
                   TRY_ASSIGN(fd, OpenAt(dirfd, at, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, mode));
                   return {};
                 },
                 &st));
  TRY_ASSIGN(Entry entry, EntryOf(inode, &st));
  return std::pair(entry, NewFile(inode, flags, std::move(fd)));
}

Result<std::pair<Entry, HandleId>> Overlay::TmpFile(NodeId parent, mode_t mode, int flags,
                                                    const Caller& caller) {
  TRY(RequireUpper());
  Passage passage(gate_);
  TRY_ASSIGN(InodePtr dir, inodes_.Find(parent));
  if (!dir->IsDir()) return Fail(ENOTDIR, "tmpfile");
  TRY(EnsureUpperDir(dir));
  TRY_ASSIGN(SharedFd at, UpperDir(dir));
  UniqueFd fd;
  {
    TRY_ASSIGN(Caller owner, ownership_.OnDisk(caller));
    CallerScope scope(owner);
    TRY_ASSIGN(fd, OpenAt(at->get(), ".", O_TMPFILE | O_RDWR | (flags & O_EXCL), mode));
  }
  Found made;
  made.upper = true;
  if (fstat(fd.get(), &made.st) != 0) return Errno("stat");
  TRY_ASSIGN(UniqueFd kept, OpenAt(AT_FDCWD, FdPath(fd.get()), O_PATH));
  InodePtr inode;
  {
    ReadLock entries(dir->dir->entries);
    TRY_ASSIGN(inode, InodeOf(dir, "", made));
  }
  inode->RemoveName(dir.get(), "");
  {
    MutexLock lock(inode->mu);
    inode->orphan = std::make_shared<const UniqueFd>(std::move(kept));
  }
  TRY_ASSIGN(Entry entry, EntryOf(inode, &made.st));
  return std::pair(entry, NewFile(inode, flags, std::move(fd)));
}

Result<Entry> Overlay::Link(NodeId node, NodeId new_parent, const std::string& new_name) {
  TRY(RequireUpper());
  Passage passage(gate_);
  TRY_ASSIGN(InodePtr inode, inodes_.Find(node));
  TRY_ASSIGN(InodePtr dir, inodes_.Find(new_parent));
  if (inode->IsDir()) return Fail(EPERM, "link");
  TRY(EnsureUpper(inode, Need::kAttributes));
  struct stat st = {};
  TRY(MakeEntry(
      dir, new_name, nullptr, inode,
      [&](int dirfd, const std::string& at) -> Result<> {
        TRY_ASSIGN(SharedFd fd, OpenUpper(inode, O_PATH));
        TRY_ASSIGN(SharedFd into, UpperDir(dir));
        bool born_here = (inode->ino & ~(markers::kUpperInoBit - 1)) == markers::kUpperInoBit;
        if (!born_here) TRY(MarkImpure(*dir, into->get()));
        if (linkat(AT_FDCWD, FdPath(fd->get()).c_str(), dirfd, at.c_str(), AT_SYMLINK_FOLLOW) !=
            0) {
          return Errno("link");
        }
        return {};
      },
      &st));
  {
    SharedFd orphan;  // closed after the lock
    MutexLock lock(inode->mu);
    orphan.swap(inode->orphan);  // a file made by TmpFile() has a name now
  }
  return EntryOf(inode, nullptr);
}

}  // namespace veneer::fs
