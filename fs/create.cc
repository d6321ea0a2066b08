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
  TRY_ASSIGN(auto acl, FindXattr(FileAt(model), kDefaultAcl));
  if (acl) TRY(SetXattr(FileAt(fd), kDefaultAcl, *acl));
  return {};
}

}  // namespace

// Where owners are kept in an attribute, the host's filesystem cannot give a new file its owner:
// the rules of open(2) and inode(7) for that are followed here. There are no ACLs (Behaviour::acl).
Result<struct stat> Overlay::OwnerOfNew(const InodePtr& parent, const Caller& owner,
                                        struct stat asked) {
  TRY_ASSIGN(struct stat above, StatUpper(parent));
  bool inherits = (above.st_mode & S_ISGID) != 0;
  asked.st_uid = owner.uid;
  asked.st_gid = inherits ? above.st_gid : owner.gid;
  asked.st_mode = S_ISLNK(asked.st_mode) ? S_IFLNK | 0777 : asked.st_mode & ~owner.umask;
  if (inherits && S_ISDIR(asked.st_mode)) asked.st_mode |= S_ISGID;
  return asked;
}

Result<InodePtr> Overlay::MakeEntry(const InodePtr& parent, const std::string& name,
                                    const Caller* caller, const InodePtr& existing,
                                    const Make& make, struct stat* st) {
  TRY(RequireUpper());
  TRY(CheckName(name, true));
  if (!parent->IsDir()) return Fail(ENOTDIR, "create");
  TRY(EnsureUpperDir(parent));
  EntriesLock entries(*parent->dir);
  {
    MutexLock lock(parent->mu);
    if (parent->dead) return Fail(ENOENT, "removed directory");
  }
  TRY_ASSIGN(Found found, Probe(*parent, name));
  if (found.exists()) return Fail(EEXIST, "create");
  TRY_ASSIGN(SharedFd dir, UpperDir(parent));
  auto run = [&](int dirfd, const std::string& at) -> Result<> {
    if (caller == nullptr) return make(dirfd, at);
    TRY_ASSIGN(Caller owner, ownership_.OnDisk(*caller));
    if (upper_->stat_override().active()) {
      TRY(make(dirfd, at));
      upper_->ForgetFormer(dirfd, at);
      TRY_ASSIGN(UniqueFd fd, OpenAt(dirfd, at, O_PATH | O_NOFOLLOW));
      TRY_ASSIGN(struct stat own, OwnerOfNew(parent, owner, *st));
      return ImposeOwner(fd.get(), own);
    }
    CallerScope scope(owner);
    TRY(make(dirfd, at));
    upper_->ForgetFormer(dirfd, at);
    return {};
  };
  // What is not right at once is made elsewhere.
  bool staged = found.whiteout || (caller != nullptr && upper_->stat_override().active());
  if (!staged) {
    TRY(run(dir->get(), name));
    if (!upper_->StatAt(dir->get(), name, *st)) return Errno("stat");
  } else {
    Temporary place(*upper_);
    if (mkdirat(place.dir(), place.name().c_str(), 0700) != 0) return Errno("mkdir");
    TRY_ASSIGN(UniqueFd fd, OpenAt(place.dir(), place.name(), O_RDONLY | O_DIRECTORY));
    TRY(ImitateDirectory(fd.get(), dir->get()));
    TRY(run(fd.get(), "new"));
    TRY(FaultPoint("create.before_mark"));
    if (!upper_->StatAt(fd.get(), "new", *st)) return Errno("stat");
    if (S_ISDIR(st->st_mode) && found.whiteout) {
      TRY(upper_->SetMark(FileAt(fd.get(), "new"), markers::kOpaque, "y"));
    }
    TRY(FaultPoint("create.before_rename"));
    // A directory cannot replace a whiteout; exchanged, the whiteout goes with the temporary
    // directory.
    unsigned flags = !found.whiteout        ? RENAME_NOREPLACE
                     : S_ISDIR(st->st_mode) ? RENAME_EXCHANGE
                                            : 0;
    if (renameat2(fd.get(), "new", dir->get(), name.c_str(), flags) != 0) return Errno("create");
    (void)upper_->StatAt(dir->get(), name, *st);  // its change time is of now
  }
  TRY(FaultPoint("create.after"));
  if (existing) {
    existing->AddName(parent, name);
    return existing;
  }
  if (S_ISDIR(st->st_mode)) CountSubdirectory(*parent, 1);
  Found made;
  made.upper = true;
  made.st = *st;
  TRY_ASSIGN(InodePtr inode, InodeOf(parent, name, made));
  inode->lacks.fetch_or(Inode::kLacksCapability);  // a new file has none; nobody has met it yet
  return inode;
}

Result<Entry> Overlay::MakeNode(NodeId parent, const std::string& name, mode_t mode, dev_t rdev,
                                const Caller& caller) {
  if (markers::IsWhiteoutDevice(mode, rdev)) return Fail(EPERM, "mknod of a whiteout");
  TRY_ASSIGN(Passage passage, gate_.Enter());
  TRY_ASSIGN(InodePtr dir, inodes_.Find(parent));
  struct stat st = {};
  st.st_mode = mode;
  st.st_rdev = rdev;
  TRY_ASSIGN(InodePtr inode, MakeEntry(
                                 dir, name, &caller, nullptr,
                                 [&](int dirfd, const std::string& at) -> Result<> {
                                   bool plain = upper_->stat_override().active();
                                   mode_t made = plain ? S_IFREG | 0600 : mode;
                                   if (mknodat(dirfd, at.c_str(), made, plain ? 0 : rdev) != 0)
                                     return Errno("mknod");
                                   return {};
                                 },
                                 &st));
  return EntryOf(inode, &st);
}

Result<Entry> Overlay::MakeDir(NodeId parent, const std::string& name, mode_t mode,
                               const Caller& caller) {
  TRY_ASSIGN(Passage passage, gate_.Enter());
  TRY_ASSIGN(InodePtr dir, inodes_.Find(parent));
  struct stat st = {};
  st.st_mode = S_IFDIR | (mode & 07777);
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
  TRY_ASSIGN(Passage passage, gate_.Enter());
  TRY_ASSIGN(InodePtr dir, inodes_.Find(parent));
  struct stat st = {};
  st.st_mode = S_IFLNK;
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
  TRY_ASSIGN(Passage passage, gate_.Enter());
  TRY_ASSIGN(InodePtr dir, inodes_.Find(parent));
  struct stat st = {};
  st.st_mode = S_IFREG | (mode & 07777);
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
  TRY_ASSIGN(Passage passage, gate_.Enter());
  TRY_ASSIGN(InodePtr dir, inodes_.Find(parent));
  if (!dir->IsDir()) return Fail(ENOTDIR, "tmpfile");
  TRY(EnsureUpperDir(dir));
  TRY_ASSIGN(SharedFd at, UpperDir(dir));
  UniqueFd fd;
  TRY_ASSIGN(Caller owner, ownership_.OnDisk(caller));
  {
    std::optional<CallerScope> scope;
    if (!upper_->stat_override().active()) scope.emplace(owner);
    TRY_ASSIGN(fd, OpenAt(at->get(), ".", O_TMPFILE | O_RDWR | (flags & O_EXCL), mode));
  }
  if (upper_->stat_override().active()) {
    struct stat asked = {};
    asked.st_mode = S_IFREG | (mode & 07777);
    TRY_ASSIGN(struct stat own, OwnerOfNew(dir, owner, asked));
    TRY(ImposeOwner(fd.get(), own));
  }
  Found made;
  made.upper = true;
  if (!upper_->StatFd(fd.get(), made.st)) return Errno("stat");
  TRY_ASSIGN(UniqueFd kept, OpenAt(AT_FDCWD, FdPath(fd.get()), O_PATH));
  InodePtr inode;
  {
    ReadLock entries(dir->dir->entries);
    TRY_ASSIGN(inode, InodeOf(dir, "", made));
  }
  inode->RemoveName(dir.get(), "");
  {
    MutexLock lock(inode->mu);
    inode->MakeRare().orphan = std::make_shared<const UniqueFd>(std::move(kept));
  }
  TRY_ASSIGN(Entry entry, EntryOf(inode, &made.st));
  return std::pair(entry, NewFile(inode, flags, std::move(fd)));
}

Result<Entry> Overlay::Link(NodeId node, NodeId new_parent, const std::string& new_name) {
  TRY(RequireUpper());
  TRY_ASSIGN(Passage passage, gate_.Enter());
  TRY_ASSIGN(InodePtr inode, inodes_.Find(node));
  TRY_ASSIGN(InodePtr dir, inodes_.Find(new_parent));
  if (inode->IsDir()) return Fail(EPERM, "link");
  TRY(EnsureUpper(inode, Need::kPlaced));
  TRY(AnchorStub(inode));
  struct stat st = {};
  TRY(MakeEntry(
      dir, new_name, nullptr, inode,
      [&](int dirfd, const std::string& at) -> Result<> {
        TRY_ASSIGN(SharedFd fd, OpenUpper(inode, O_PATH));
        TRY_ASSIGN(SharedFd into, UpperDir(dir));
        bool born_here = (inode->ino & ~(markers::kUpperInoBit - 1)) == markers::kUpperInoBit;
        if (!born_here) TRY(MarkImpure(*dir, into->get()));
        auto counting = CountingNames(*inode);
        TRY(FaultPoint("link.before"));
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
    if (inode->rare().orphan) {  // a file made by TmpFile() has a name now
      orphan.swap(inode->MakeRare().orphan);
      inode->TidyRare();
    }
  }
  return EntryOf(inode, nullptr);
}

}  // namespace veneer::fs
