// Copy-up: bringing a lower file or directory to the upper before it changes.
//
// A directory is made and renamed into place under its parent's lock: a few calls. A file's data is
// copied with no lock at all, by the one thread whose turn it is (Inode::copying); others that need
// it wait, everybody else goes on with the lower's data. See docs/filesystem.md "Copy-up" for the
// states and the order that makes it crash-safe.
#include <fcntl.h>
#include <sys/sysmacros.h>

#include <algorithm>

#include "fs/copy_data.h"
#include "fs/copy_turn.h"
#include "fs/keep_times.h"
#include "fs/overlay.h"
#include "fs/patience.h"
#include "store/base/beneath.h"
#include "store/base/fault.h"

namespace veneer::fs {

namespace {

// Gives the blocks of a stub of `size` bytes back. Its size stays all the time where the host can:
// the kernel's overlayfs shows it.
Result<> EmptyStub(int fd, off_t size) {
  if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, size) == 0) return {};
  if (ftruncate(fd, 0) != 0 || ftruncate(fd, size) != 0) return Errno("copy-up: stub");
  return {};
}

}  // namespace

// The owner first (changing it clears setuid and capabilities), times last (everything changes
// them).
Result<> Overlay::ApplyLowerAttributes(int fd, const Inode& inode, const struct stat& st,
                                       bool times) {
  bool overridden = upper_->stat_override().active();
  if (!overridden) TRY(ChangeOwner(fd, st.st_uid, st.st_gid));
  const FileAt at(fd);
  TRY_ASSIGN(auto xattrs, lower_->XattrNames(inode.lower));
  for (const std::string& name : xattrs) {
    if (!behaviour_.acl && name.starts_with(kAclPrefix)) continue;
    TRY_ASSIGN(std::string value, lower_->Xattr(inode.lower, name));
    auto set = fs::SetXattr(at, upper_->StoredXattrName(name), value);
    if (set || set.error().code() == EOPNOTSUPP) continue;
    // What the upper's filesystem, or an unprivileged daemon, cannot hold is left behind, as cp -a
    // does. A layer's symlinks and special files may carry user attributes; no filesystem's do.
    bool user = name.starts_with("user.") && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode);
    if (set.error().code() == EPERM && (user || !upper_->trusted())) continue;
    return set;
  }
  auto marked = upper_->SetMark(at, markers::kIno, std::to_string(inode.ino));
  if (!marked && upper_->trusted()) return marked;
  if (index_ && index_->kernel_form()) {
    if (auto origin = lower_->Origin(inode.lower)) {
      TRY(upper_->SetMark(at, markers::kOrigin, *origin));
    }
  }
  // After the attributes: without privileges a read-only file takes none, and an ACL is a mode too.
  if (overridden) {
    TRY(ImposeOwner(fd, st));
  } else if (!S_ISLNK(st.st_mode)) {
    TRY(ChangeMode(fd, st.st_mode & 07777));
  }
  if (!times) return {};
  timespec both[2] = {st.st_atim, st.st_mtim};
  if (utimensat(fd, "", both, AT_EMPTY_PATH) != 0) return Errno("copy-up: times");
  return {};
}

Result<> Overlay::MarkImpure(Inode& dir, int dirfd) {
  if (dir.dir->impure) return {};
  TRY(upper_->SetMark(FileAt(dirfd), markers::kImpure, "y"));
  dir.dir->impure = true;
  return {};
}

Result<Overlay::DirCopy> Overlay::CopyDir(const Inode& dir, const Temporary& made) {
  TRY_ASSIGN(struct stat st, lower_->Attr(dir.lower));
  if (mkdirat(made.dir(), made.name().c_str(), 0700) != 0) return Errno("copy-up: mkdir");
  TRY_ASSIGN(UniqueFd fd, OpenAt(made.dir(), made.name(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  TRY(ApplyLowerAttributes(fd.get(), dir, st, true));
  struct stat own = {};
  if (fstat(fd.get(), &own) != 0) return Errno("stat");
  return DirCopy{std::move(fd), own.st_ino};
}

Result<> Overlay::EnsureUpperDir(const InodePtr& dir) {
  while (!dir->has_upper()) {
    Name name;
    {
      MutexLock lock(dir->mu);
      if (dir->dead || dir->names.empty()) return Fail(ENOENT, "removed directory");
      name = dir->names.front();
    }
    const InodePtr& parent = name.parent;
    TRY(EnsureUpperDir(parent));
    WriteLock entries(parent->dir->entries);
    if (dir->has_upper()) break;
    {
      MutexLock lock(dir->mu);
      if (dir->dead) return Fail(ENOENT, "removed directory");
      if (dir->names.front().parent != parent || dir->names.front().name != name.name) continue;
    }
    Temporary made(*upper_);
    TRY_ASSIGN(DirCopy copy, CopyDir(*dir, made));
    TRY_ASSIGN(SharedFd into, UpperDir(parent));
    KeepTimes keep(into->get());
    TRY(MarkImpure(*parent, into->get()));
    TRY(FaultPoint("copy_up.before_dir_rename"));
    if (renameat2(made.dir(), made.name().c_str(), into->get(), name.name.c_str(),
                  RENAME_NOREPLACE) != 0) {
      return Errno("copy-up: rename");
    }
    made.Commit();
    dir->upper_ino.store(copy.upper_ino, std::memory_order_release);
    counters_.copy_ups.fetch_add(1, std::memory_order_relaxed);
  }
  return {};
}

// A removed directory that the upper never had gets one there that has no name either, for its last
// users.
Result<> Overlay::EnsureRemovedDir(const InodePtr& dir) {
  if (dir->has_upper()) return {};
  CopyTurn turn(inodes_, dir);
  if (!turn.held()) return Fail(kWouldWait, "copy-up");
  if (dir->has_upper()) return {};
  Temporary made(*upper_);
  TRY_ASSIGN(DirCopy copy, CopyDir(*dir, made));
  MutexLock lock(dir->mu);
  dir->MakeRare().orphan = std::make_shared<const UniqueFd>(std::move(copy.fd));
  dir->upper_ino.store(copy.upper_ino, std::memory_order_release);
  return {};
}

Result<> Overlay::EnsureUpper(const InodePtr& inode, Need need) {
  if (inode->IsDir()) {
    bool removed;
    {
      MutexLock lock(inode->mu);
      removed = inode->dead;
    }
    return removed ? EnsureRemovedDir(inode) : EnsureUpperDir(inode);
  }
  auto satisfied = [&]() REQUIRES_LOCK(inode->mu) {
    if (!inode->has_upper()) return false;
    if (inode->data == Data::kPartial) return need != Need::kPlaced || inode->rare().partial.placed;
    if (inode->copying) return false;
    return inode->data == Data::kUpper || need == Need::kAttributes || need == Need::kPlaced;
  };
  {
    MutexLock lock(inode->mu);
    if (satisfied()) return {};
  }
  bool begun;
  {
    CopyTurn turn(inodes_, inode);
    if (!turn.held()) return Fail(kWouldWait, "copy-up");
    bool partial = PartialOf(*inode) != nullptr;
    TRY(CopyUpInTurn(inode, need));
    begun = !partial && PartialOf(*inode);
  }
  if (begun) to_fill_->Add(inode);
  return need == Need::kPlaced && begun ? AwaitWhole(inode) : Result<>();
}

Result<> Overlay::HoldStub(const InodePtr& inode, std::optional<CopyTurn>& turn) {
  auto is_stub = [&] {
    MutexLock lock(inode->mu);
    return inode->data == Data::kStub;
  };
  if (!is_stub()) return {};
  turn.emplace(inodes_, inode);
  if (!turn->held()) return Fail(kWouldWait, "copy-up");
  if (!is_stub()) turn.reset();  // its data has come, or is on its way
  return {};
}

Result<> Overlay::CopyUpInTurn(const InodePtr& inode, Need need) {
  bool attributes = need == Need::kAttributes || need == Need::kPlaced;
  Data data;
  bool placed;
  {
    MutexLock lock(inode->mu);
    data = inode->has_upper() ? inode->data : Data::kLower;
    placed = inode->rare().partial.placed;
  }
  if (!inode->has_upper()) return CopyUpFile(inode, attributes ? Need::kAttributes : need);
  if (data == Data::kPartial && need == Need::kPlaced && !placed) {
    TRY(RequirePatience("copy-up"));
    return FinishPartial(inode);
  }
  return data == Data::kStub && !attributes ? FillStub(inode, need) : Result<>();
}

void Overlay::Publish(const InodePtr& inode, uint64_t upper_ino, Data data, UniqueFd fd) {
  BackingPtr old;  // closed after the lock
  MutexLock lock(inode->mu);
  inode->data = data;
  if (inode->rare().partial.copy) inode->MakeRare().partial = {};
  inode->upper_ino.store(upper_ino, std::memory_order_release);
  if (data != Data::kUpper || inode->opens == 0) return;
  old = std::move(inode->backing);
  inode->backing = std::make_shared<const Backing>(
      Backing{.fd = std::move(fd), .upper = true, .writable = true});
}

Result<> Overlay::CopyUpFile(const InodePtr& inode, Need need) {
  TRY_ASSIGN(struct stat st, lower_->Attr(inode->lower));
  if (st.st_nlink > 1) TRY(RequirePatience("copy-up of all names"));
  if (!S_ISREG(st.st_mode)) {
    Temporary made(*upper_);
    if (S_ISLNK(st.st_mode)) {
      TRY_ASSIGN(std::string target, lower_->LinkTarget(inode->lower));
      if (symlinkat(target.c_str(), made.dir(), made.name().c_str()) != 0) {
        return Errno("copy-up: symlink");
      }
    } else if (mknodat(made.dir(), made.name().c_str(),
                       (upper_->stat_override().active() ? S_IFREG : st.st_mode & S_IFMT) | 0600,
                       st.st_rdev) != 0) {
      return Errno("copy-up: mknod");
    }
    upper_->ForgetFormer(made.dir(), made.name());
    TRY_ASSIGN(UniqueFd fd, OpenAt(made.dir(), made.name(), O_PATH | O_NOFOLLOW));
    TRY(ApplyLowerAttributes(fd.get(), *inode, st, true));
    struct stat own = {};
    if (fstat(fd.get(), &own) != 0) return Errno("stat");
    if (auto placed = Place(inode, made, st); !placed) return std::unexpected(placed.error());
    Publish(inode, own.st_ino, Data::kUpper, {});
    counters_.copy_ups.fetch_add(1, std::memory_order_relaxed);
    return {};
  }

  if (need == Need::kData && st.st_size > 0) TRY(RequirePatience("copy-up"));
  Temporary made(*upper_);
  TRY_ASSIGN(UniqueFd fd,
             OpenAt(made.dir(), made.name(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
  const FileAt at(fd.get());
  Data data = Data::kUpper;
  if (need == Need::kAttributes && behaviour_.metacopy) {
    TRY_ASSIGN(auto mark, lower_->MarkOf(inode->lower));
    if (mark) {
      TRY(upper_->SetMark(at, markers::kMetacopy, mark->metacopy));
      if (mark->redirect) {
        TRY(upper_->SetMark(at, markers::kRedirect, *mark->redirect));
      }
      if (ftruncate(fd.get(), st.st_size) != 0) return Errno("copy-up: stub");
      data = Data::kStub;
      counters_.stubs.fetch_add(1, std::memory_order_relaxed);
    }
  }
  bool copies = data == Data::kUpper && need != Need::kEmpty && st.st_size > 0;
  if (copies) {
    TRY(RequirePatience("copy-up"));
    TRY(FaultPoint("copy_up.before_data"));
    TRY_ASSIGN(UniqueFd from, lower_->Open(inode->lower));
    auto size = static_cast<uint64_t>(st.st_size);
    if (!CloneData(from.get(), fd.get(), size)) {
      TRY_ASSIGN(bool begun, CopyUpInPart(inode, from, st));
      if (begun) return {};
      TRY_ASSIGN(uint64_t bytes, CopyData(from.get(), fd.get(), size));
      counters_.bytes_copied.fetch_add(bytes, std::memory_order_relaxed);
    }
  }
  TRY(ApplyLowerAttributes(fd.get(), *inode, st, need != Need::kEmpty));
  // The name must not come before the data, or only with a mark that says so; attributes and the
  // name are in order in the host's journal.
  bool waits = false;
  if (copies && !upper_->is_volatile()) {
    TRY(FaultPoint("copy_up.before_sync"));
    TRY_ASSIGN(waits, MarkPending(fd.get(), *inode));
    if (!waits && fdatasync(fd.get()) != 0) return Errno("copy-up: sync");
  }
  struct stat own = {};
  if (fstat(fd.get(), &own) != 0) return Errno("stat");
  TRY_ASSIGN(SharedFd into, Place(inode, made, st));
  inode->pending = waits;
  Publish(inode, own.st_ino, data, std::move(fd));
  counters_.copy_ups.fetch_add(1, std::memory_order_relaxed);
  TRY(FaultPoint("copy_up.after_rename"));
  if (waits) {
    to_settle_->Add(inode);
  } else if (copies && into) {
    TRY(upper_->SyncDir(into->get()));
  }
  return {};
}

// Gives the finished copy its name or names. The turn is ours, so nobody can move or remove a name
// of an inode that has several (docs/filesystem.md "Hard links"); one that has a single name may
// lose it meanwhile. Returns the directory to make durable, if any.
Result<SharedFd> Overlay::Place(const InodePtr& inode, Temporary& file, const struct stat& st) {
  if (st.st_nlink > 1) {
    bool dead;
    {
      MutexLock lock(inode->mu);
      dead = inode->dead;
      if (!dead) {  // link counts change step by step
        inode->MakeRare().shown = std::make_unique<struct stat>(st);
      }
    }
    if (!dead) {
      return lower_->KnowsNames() ? PlaceAllNames(inode, file) : PlaceIndexed(inode, file, st);
    }
  }
  TRY_ASSIGN(SharedFd into, PlaceOneName(inode, [&](int dirfd, const char* name) -> Result<> {
               if (renameat2(file.dir(), file.name().c_str(), dirfd, name, RENAME_NOREPLACE) != 0) {
                 return Errno("copy-up: rename");
               }
               file.Commit();
               return {};
             }));
  if (into) return into;
  // Unlinked, and still open somewhere.
  TRY_ASSIGN(UniqueFd fd, OpenAt(file.dir(), file.name(), O_PATH | O_NOFOLLOW));
  MutexLock lock(inode->mu);
  inode->MakeRare().orphan = std::make_shared<const UniqueFd>(std::move(fd));
  return SharedFd();
}

Result<SharedFd> Overlay::PlaceOneName(const InodePtr& inode, const Put& put) {
  for (;;) {
    Name name;
    {
      MutexLock lock(inode->mu);
      if (!inode->names.empty()) name = inode->names.front();
    }
    if (!name.parent) return SharedFd();
    TRY(EnsureUpperDir(name.parent));
    WriteLock entries(name.parent->dir->entries);
    {
      MutexLock lock(inode->mu);
      if (std::none_of(inode->names.begin(), inode->names.end(), [&](const Name& n) {
            return n.parent == name.parent && n.name == name.name;
          })) {
        continue;  // renamed or unlinked meanwhile
      }
    }
    TRY_ASSIGN(SharedFd into, UpperDir(name.parent));
    KeepTimes keep(into->get());
    TRY(MarkImpure(*name.parent, into->get()));
    TRY(FaultPoint("copy_up.before_rename"));
    TRY(put(into->get(), name.name.c_str()));
    // Whoever looks the name up from here on finds the upper's file: the inode must know of it.
    struct stat own = {};
    if (fstatat(into->get(), name.name.c_str(), &own, AT_SYMLINK_NOFOLLOW) == 0) {
      inode->upper_ino.store(own.st_ino, std::memory_order_release);
    }
    return into;
  }
}

Result<> Overlay::AnchorStub(const InodePtr& inode) {
  {
    MutexLock lock(inode->mu);
    bool stub = inode->data == Data::kStub ||
                (inode->data == Data::kPartial && inode->rare().partial.placed);
    if (!stub || !inode->lower) return {};
  }
  TRY_ASSIGN(auto mark, lower_->MarkOf(inode->lower));
  if (!mark || !mark->redirect) return {};
  TRY_ASSIGN(SharedFd fd, OpenUpper(inode, O_PATH));
  return upper_->SetMark(FileAt(fd->get()), markers::kRedirect, *mark->redirect);
}

// The stub has its data.
Result<> Overlay::RemoveStubMark(const InodePtr& inode, int fd, bool waits) {
  TRY(FaultPoint("copy_up.before_mark_removed"));
  const FileAt at(fd);
  TRY(upper_->RemoveMark(at, markers::kMetacopy));
  if (!waits) {
    TRY(upper_->RemoveMark(at, markers::kPending));
    inode->mark_removal = Inode::kMarkRemoved;
  }
  // Left behind, it would mean nothing.
  if (!lower_->KnowsNames()) (void)upper_->RemoveMark(at, markers::kRedirect);
  return {};
}

namespace {

// Writing to a file takes its capabilities away, which are put back then. Who asks for them
// meanwhile is told what they are.
class ShownCapability {
 public:
  ShownCapability(Inode& inode, std::optional<std::string> value) : inode_(inode) {
    if (value) {
      MutexLock lock(inode_.mu);
      inode_.MakeRare().shown_capability = std::move(value);
    }
    inode_.ForgetLacks(Inode::kLacksCapability);
  }
  ~ShownCapability() {
    inode_.ForgetLacks(Inode::kLacksCapability);
    MutexLock lock(inode_.mu);
    if (inode_.rare().shown_capability) inode_.MakeRare().shown_capability.reset();
  }
  ShownCapability(const ShownCapability&) = delete;
  ShownCapability& operator=(const ShownCapability&) = delete;

 private:
  Inode& inode_;
};

}  // namespace

// Brings the data into a stub, in place, so that all its names have it. Until the marker is gone
// the lower's data counts; the marker goes when the data is durable, or another says that it may
// not be.
Result<> Overlay::FillStub(const InodePtr& inode, Need need) {
  if (need != Need::kEmpty) TRY(RequirePatience("copy-up"));
  TRY_ASSIGN(SharedFd found, OpenUpper(inode, O_PATH));
  TRY_ASSIGN(UniqueFd fd, OpenAt(AT_FDCWD, FdPath(found->get()), O_RDWR));
  const FileAt at(fd.get());
  struct stat st = {};
  if (fstat(fd.get(), &st) != 0) return Errno("stat");
  TRY_ASSIGN(auto mark, upper_->ReadMark(at, markers::kMetacopy));
  if (!mark) {  // an earlier fill that failed after all was done: what is there counts
    inode->mark_removal = Inode::kMarkRemoved;
    Publish(inode, st.st_ino, Data::kUpper, std::move(fd));
    return {};
  }
  TRY_ASSIGN(struct stat shown, Attr(inode));
  {
    MutexLock lock(inode->mu);
    inode->MakeRare().shown = std::make_unique<struct stat>(shown);
  }
  timespec times[2] = {st.st_atim, st.st_mtim};
  std::optional<std::string> capability;  // where it is stored otherwise, it stays there
  if (upper_->StoredXattrName("security.capability") == "security.capability") {
    TRY_ASSIGN(capability, FindXattr(at, "security.capability"));
  }
  ShownCapability while_gone(*inode, std::move(capability));
  if (need == Need::kEmpty) {
    TRY(KeepingXattr(at, "security.capability", [&]() -> Result<> {
      if (ftruncate(fd.get(), 0) != 0) return Errno("truncate");
      return {};
    }));
    TRY(RemoveStubMark(inode, fd.get(), false));
    Publish(inode, st.st_ino, Data::kUpper, std::move(fd));
    return FaultPoint("copy_up.after_mark_removed");
  }
  bool begun = false;
  TRY_ASSIGN(bool in_part, MayFillInPart(fd.get(), st));
  // Writing clears capabilities; bringing data up is not the user's write.
  auto filled = KeepingXattr(at, "security.capability", [&]() -> Result<> {
    TRY(FaultPoint("copy_up.before_stub_data"));
    if (!inode->lower) return Fail(EIO, "data of a stub");
    TRY_ASSIGN(UniqueFd from, lower_->Open(inode->lower));
    // A crash may have brought the marker back over bytes that were written later: the lower's
    // holes must not show them.
    TRY(EmptyStub(fd.get(), st.st_size));
    TRY(FaultPoint("copy_up.after_stub_emptied"));
    auto size = static_cast<uint64_t>(st.st_size);
    if (CloneData(from.get(), fd.get(), size)) return {};
    if (futimens(fd.get(), times) != 0) return Errno("copy-up: times");
    if (in_part) {
      TRY_ASSIGN(begun, BeginPartial(inode, from, fd.get(), size, /*placed=*/true));
    }
    if (begun) return {};
    TRY_ASSIGN(uint64_t bytes, CopyData(from.get(), fd.get(), size));
    counters_.bytes_copied.fetch_add(bytes, std::memory_order_relaxed);
    return FaultPoint("copy_up.after_stub_data");
  });
  if (begun) return filled;
  // Without privileges writing clears these, too.
  if ((st.st_mode & (S_ISUID | S_ISGID)) != 0) TRY(ChangeMode(fd.get(), shown.st_mode & 07777));
  if (futimens(fd.get(), times) != 0) return Errno("copy-up: times");
  if (!filled) {  // the stub stays one: give its blocks back
    auto emptied =
        KeepingXattr(at, "security.capability", [&] { return EmptyStub(fd.get(), st.st_size); });
    if (emptied) futimens(fd.get(), times);
    return filled;
  }
  bool waits = false;
  if (!upper_->is_volatile()) {
    TRY_ASSIGN(waits, MarkPending(fd.get(), *inode));
    if (!waits && fdatasync(fd.get()) != 0) return Errno("copy-up: sync");
  }
  TRY(RemoveStubMark(inode, fd.get(), waits));
  inode->pending = waits;
  Publish(inode, st.st_ino, Data::kUpper, std::move(fd));
  if (waits) to_settle_->Add(inode);
  return FaultPoint("copy_up.after_mark_removed");
}

}  // namespace veneer::fs
