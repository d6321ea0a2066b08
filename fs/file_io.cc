// Open files. A handle remembers its inode, not a descriptor: every operation goes through the
// inode's current backing, which a copy-up swaps, so that a reader from before it sees what is
// written after it.
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "fs/overlay.h"
#include "fs/patience.h"
#include "store/base/beneath.h"
#include "store/base/fault.h"

namespace veneer::fs {

namespace {

// EPERM where the file is immutable, or append-only and not opened for that.
Result<> MayOpenToWrite(int fd, int flags) {
  struct statx stx = {};
  if (statx(fd, "", AT_EMPTY_PATH, 0, &stx) != 0) return Errno("stat");
  bool only_appends = (flags & O_APPEND) != 0 && (flags & O_TRUNC) == 0;
  if ((stx.stx_attributes & STATX_ATTR_IMMUTABLE) != 0 ||
      ((stx.stx_attributes & STATX_ATTR_APPEND) != 0 && !only_appends)) {
    return Fail(EPERM, "open");
  }
  return {};
}

// Reads what is in the page cache. kWouldWait where some of it is not.
Result<size_t> ReadCached(int fd, void* buffer, size_t size, uint64_t offset) {
  size_t done = 0;
  while (done < size) {
    struct iovec rest = {static_cast<char*>(buffer) + done, size - done};
    ssize_t n = preadv2(fd, &rest, 1, static_cast<off_t>(offset + done), RWF_NOWAIT);
    if (n < 0 && errno == EINTR) continue;
    // Not all filesystems can tell; neither is an error.
    if (n < 0 && (errno == EAGAIN || errno == EOPNOTSUPP)) return Fail(kWouldWait, "read");
    if (n < 0) return Errno("read");
    if (n == 0) break;
    done += static_cast<size_t>(n);
  }
  return done;
}

Result<size_t> ReadNow(int fd, void* buffer, size_t size, uint64_t offset) {
  return Impatient::Now() ? ReadCached(fd, buffer, size, offset)
                          : PreadUpTo(fd, buffer, size, offset);
}

// Whether it begins as ELF files do, and can be read.
Result<bool> IsProgram(int fd) {
  constexpr std::string_view kMagic = "\177ELF";
  char start[kMagic.size()];
  auto n = ReadNow(fd, start, sizeof start, 0);
  if (!n && n.error().code() == kWouldWait) return std::unexpected(std::move(n).error());
  return n && std::string_view(start, *n) == kMagic;
}

}  // namespace

// True where a reader whose pages are cached needs nothing of the host: the lower keeps its files.
bool Overlay::MayOpenLater(Inode& inode) {
  MutexLock lock(inode.mu);
  return inode.data == Data::kLower && inode.lower;
}

// REQUIRES: the caller counts as one of inode->opens, so that a copy-up leaves a backing behind.
Result<BackingPtr> Overlay::OpenBacking(const InodePtr& inode, int flags) {
  bool writable = (flags & (O_ACCMODE | O_TRUNC)) != O_RDONLY;
  bool appending = (flags & O_APPEND) != 0;
  auto serves = [&](const BackingPtr& backing) {
    return backing && (!writable || (backing->writable && (appending || !backing->appends)));
  };
  for (;;) {
    Data data;
    Backing made;
    {
      MutexLock lock(inode->mu);
      data = inode->data;
      if (serves(inode->backing)) return inode->backing;
      made.partial = inode->rare().partial.copy;
    }
    if (data == Data::kUpper || data == Data::kPartial) {
      made.upper = true;
      made.writable = writable;
      TRY_ASSIGN(SharedFd found, OpenUpper(inode, O_PATH));
      std::string path = FdPath(found->get());
      auto opened = OpenAt(AT_FDCWD, path, writable ? O_RDWR : O_RDONLY);
      if (!opened && opened.error().code() == EPERM && appending) {
        made.appends = true;
        opened = OpenAt(AT_FDCWD, path, O_RDWR | O_APPEND);
      }
      TRY_ASSIGN(made.fd, std::move(opened));
    } else {
      if (writable) return Fail(EIO, "open before copy-up");
      if (!inode->lower) return Fail(EIO, "data of a stub");
      TRY_ASSIGN(made.fd, lower_->Open(inode->lower));
    }
    auto shared = std::make_shared<const Backing>(std::move(made));
    BackingPtr old;  // closed after the lock
    MutexLock lock(inode->mu);
    if (inode->data != data) continue;
    if (serves(inode->backing)) return inode->backing;
    old = std::move(inode->backing);
    inode->backing = shared;
    return shared;
  }
}

HandleId Overlay::NewFile(const InodePtr& inode, int flags, UniqueFd fd) {
  auto handle = std::make_shared<Handle>();
  handle->inode = inode;
  handle->flags = flags;
  {
    MutexLock lock(inode->mu);
    ++inode->opens;
    if (!inode->backing) {
      inode->backing = std::make_shared<const Backing>(
          Backing{.fd = std::move(fd), .upper = true, .writable = true});
    }
  }
  return handles_.Add(std::move(handle));
}

Result<HandleId> Overlay::Open(NodeId node, int flags, const KillSuid& kill_suidgid) {
  TRY_ASSIGN(InodePtr inode, inodes_.Find(node));
  if (inode->IsDir()) return Fail(EISDIR, "open");
  if (!S_ISREG(inode->type)) return Fail(ENXIO, "open");
  bool truncate = (flags & O_TRUNC) != 0;
  bool writable = (flags & O_ACCMODE) != O_RDONLY || truncate;
  std::optional<Passage> passage;
  if (writable) {
    TRY(RequireUpper());
    TRY_ASSIGN(Passage entered, gate_.Enter());
    passage.emplace(std::move(entered));
    TRY(EnsureUpper(inode, truncate ? Need::kEmpty : Need::kData));
  }
  auto handle = std::make_shared<Handle>();
  handle->inode = inode;
  handle->flags = flags;
  {
    MutexLock lock(inode->mu);
    ++inode->opens;
  }
  HandleId id = handles_.Add(handle);
  auto opened = [&]() -> Result<> {
    if (!writable && !read_only() && !shares_programs() && MayOpenLater(*inode)) return {};
    TRY_ASSIGN(BackingPtr backing, OpenBacking(inode, flags));
    if (shares_programs() && !writable && !backing->upper) {
      TRY_ASSIGN(handle->program, IsProgram(backing->fd.get()));
    }
    // One opened earlier may serve, which does not tell what the file allows now.
    if (writable) TRY(MayOpenToWrite(backing->fd.get(), flags));
    // Passthrough writes of such a handle are synced by the kernel, which knows of no marker.
    if (writable && (flags & O_DSYNC) != 0 &&
        (inode->pending || inode->mark_removal != Inode::kMarkSettled)) {
      TRY(RequirePatience("sync"));
      TRY(Fsync(id, false));
    }
    if (!truncate) return {};
    if (kill_suidgid) TRY(ClearSuid(backing->fd.get(), *inode, kill_suidgid));
    TRY(ForgetCapability(backing->fd.get(), *inode));
    return TruncateData(inode, backing->fd.get(), 0);
  }();
  if (!opened) {
    Release(id);
    return std::unexpected(std::move(opened).error());
  }
  return id;
}

void Overlay::Release(HandleId id) {
  HandlePtr handle = handles_.Remove(id);
  if (!handle) return;
  BackingPtr last;  // closed after the lock
  MutexLock lock(handle->inode->mu);
  if (--handle->inode->opens > 0) return;
  last = std::move(handle->inode->backing);
}

SharedFd Overlay::FinalData(HandleId id) {
  auto handle = handles_.Find(id);
  if (!handle) return nullptr;
  Inode& inode = *(*handle)->inode;
  BackingPtr backing;
  {
    MutexLock lock(inode.mu);
    if (!inode.backing || (inode.data != Data::kUpper && !read_only())) return nullptr;
    // msync(2) of a mapping would not pass us, who know of the marker.
    if (inode.pending) return nullptr;
    backing = inode.backing;
  }
  // Where the host does not know a file's mode and capabilities, it cannot see to it that writing
  // clears setuid, setgid and them; elsewhere the kernel does, or has us do it, before it passes a
  // write on.
  if (!read_only() && upper_->stat_override().active()) return nullptr;
  return SharedFd(backing, &backing->fd);
}

SharedFd Overlay::SharedData(HandleId id) {
  auto handle = handles_.Find(id);
  if (!handle || !(*handle)->program) return nullptr;
  Inode& inode = *(*handle)->inode;
  MutexLock lock(inode.mu);
  if (!inode.backing || inode.backing->upper) return nullptr;
  if (inode.data != Data::kLower && inode.data != Data::kStub) return nullptr;
  return SharedFd(inode.backing, &inode.backing->fd);
}

Result<BackingPtr> Overlay::BackingOf(HandleId id) {
  TRY_ASSIGN(HandlePtr handle, handles_.Find(id));
  {
    MutexLock lock(handle->inode->mu);
    if (handle->inode->backing) return handle->inode->backing;
  }
  return OpenBacking(handle->inode, O_RDONLY);
}

Result<BackingPtr> Overlay::WritableBackingOf(HandleId id, InodePtr* inode) {
  TRY_ASSIGN(HandlePtr handle, handles_.Find(id));
  if ((handle->flags & O_ACCMODE) == O_RDONLY) return Fail(EBADF, "write");
  *inode = handle->inode;
  return OpenBacking(handle->inode, handle->flags);
}

Result<size_t> Overlay::Read(HandleId handle, void* buffer, size_t size, uint64_t offset) {
  TRY_ASSIGN(BackingPtr backing, BackingOf(handle));
  if (backing->partial) {
    TRY(RequirePatience("read"));
    return backing->partial->Read(buffer, size, offset);
  }
  return ReadNow(backing->fd.get(), buffer, size, offset);
}

Result<UniqueFd> Overlay::OpenUnopened(NodeId node) {
  TRY_ASSIGN(InodePtr inode, inodes_.Find(node));
  if (!read_only() || !S_ISREG(inode->type) || !inode->lower) return Fail(EBADF, "read");
  return lower_->Open(inode->lower);
}

Result<size_t> Overlay::ReadUnopened(NodeId node, void* buffer, size_t size, uint64_t offset) {
  TRY_ASSIGN(UniqueFd fd, OpenUnopened(node));
  return ReadNow(fd.get(), buffer, size, offset);
}

Result<uint64_t> Overlay::SeekUnopened(NodeId node, uint64_t offset, int whence) {
  if (whence != SEEK_DATA && whence != SEEK_HOLE) return Fail(EINVAL, "lseek");
  TRY_ASSIGN(UniqueFd fd, OpenUnopened(node));
  off_t found = lseek(fd.get(), static_cast<off_t>(offset), whence);
  if (found < 0) return Errno("lseek");
  return static_cast<uint64_t>(found);
}

Result<size_t> Overlay::Write(HandleId handle, std::string_view data, uint64_t offset,
                              const KillSuid& kill_suidgid) {
  TRY_ASSIGN(Passage passage, gate_.Enter());
  InodePtr inode;
  TRY_ASSIGN(BackingPtr backing, WritableBackingOf(handle, &inode));
  if (backing->partial) TRY(RequirePatience("write"));
  if (kill_suidgid) TRY(ClearSuid(backing->fd.get(), *inode, kill_suidgid));
  TRY(ForgetCapability(backing->fd.get(), *inode));
  if (backing->partial) return backing->partial->Write(data, offset);
  size_t done = 0;
  while (done < data.size()) {
    ssize_t n = pwrite(backing->fd.get(), data.data() + done, data.size() - done,
                       static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && done == 0) return Errno("write");
    if (n <= 0) break;
    done += static_cast<size_t>(n);
  }
  return done;
}

Result<> Overlay::Fsync(HandleId id, bool data_only) {
  if (!upper_) return {};  // ReadUnopened() has no handles
  TRY_ASSIGN(HandlePtr handle, handles_.Find(id));
  if (upper_->is_volatile() || !handle->inode->has_upper()) return {};
  TRY(AwaitWhole(handle->inode));
  bool settles = handle->inode->pending;
  TRY(Settle(handle->inode));
  BackingPtr backing;
  {
    MutexLock lock(handle->inode->mu);
    backing = handle->inode->backing;
  }
  SharedFd fd;
  if (backing && backing->upper) {
    fd = SharedFd(backing, &backing->fd);
  } else {  // a stub: its attributes are the upper's
    TRY_ASSIGN(fd, OpenUpper(handle->inode, O_RDONLY));
  }
  Inode& inode = *handle->inode;
  auto removal = inode.mark_removal.load();
  TRY(FaultPoint("fsync.before_sync"));
  bool whole = !data_only || removal != Inode::kMarkSettled;
  if ((whole ? fsync(fd->get()) : fdatasync(fd->get())) != 0) return Errno("fsync");
  if (removal != Inode::kMarkSettled) {
    inode.mark_removal.compare_exchange_strong(removal, Inode::kMarkSettled);
  }
  return settles ? SyncParent(inode) : Result<>();
}

// Where the copy-up put the file; one that was renamed since has its rename's directory.
Result<> Overlay::SyncParent(Inode& inode) {
  Name name;
  {
    MutexLock lock(inode.mu);
    if (inode.names.empty()) return {};
    name = inode.names.front();
  }
  auto dir = UpperDir(name.parent);
  if (!dir && dir.error().code() == ENOENT) return {};  // removed
  if (!dir) return std::unexpected(std::move(dir).error());
  return upper_->SyncDir((*dir)->get());
}

Result<> Overlay::Fallocate(HandleId handle, int mode, uint64_t offset, uint64_t length) {
  TRY_ASSIGN(Passage passage, gate_.Enter());
  InodePtr inode;
  TRY_ASSIGN(BackingPtr backing, WritableBackingOf(handle, &inode));
  // Holes would be taken for data that has not come.
  TRY(AwaitWhole(inode));
  TRY(Settle(inode));
  if (fallocate(backing->fd.get(), mode, static_cast<off_t>(offset), static_cast<off_t>(length)) !=
      0) {
    return Errno("fallocate");
  }
  return {};
}

Result<uint64_t> Overlay::Seek(HandleId handle, uint64_t offset, int whence) {
  TRY_ASSIGN(BackingPtr backing, BackingOf(handle));
  if (whence != SEEK_DATA && whence != SEEK_HOLE) return Fail(EINVAL, "lseek");
  if (backing->partial) {  // all of it is data as long as nobody can tell
    struct stat st = {};
    if (fstat(backing->fd.get(), &st) != 0) return Errno("lseek");
    auto size = static_cast<uint64_t>(st.st_size);
    if (offset >= size) return Fail(ENXIO, "lseek");
    return whence == SEEK_DATA ? offset : size;
  }
  // The descriptor is shared, but nobody uses its position.
  off_t found = lseek(backing->fd.get(), static_cast<off_t>(offset), whence);
  if (found < 0) return Errno("lseek");
  return static_cast<uint64_t>(found);
}

Result<size_t> Overlay::CopyFileRange(HandleId in, uint64_t offset_in, HandleId out,
                                      uint64_t offset_out, size_t length) {
  TRY_ASSIGN(Passage passage, gate_.Enter());
  TRY_ASSIGN(HandlePtr source, handles_.Find(in));
  InodePtr inode;
  TRY_ASSIGN(BackingPtr to, WritableBackingOf(out, &inode));
  // Cloning makes holes too, as fallocate(2) does.
  TRY(AwaitWhole(inode));
  TRY(Settle(inode));
  TRY_ASSIGN(BackingPtr from, BackingOf(in));
  while (from->partial) {  // it may have been opened to write while we waited
    TRY(AwaitWhole(source->inode));
    TRY_ASSIGN(from, BackingOf(in));
  }
  off_t from_offset = static_cast<off_t>(offset_in);
  off_t to_offset = static_cast<off_t>(offset_out);
  ssize_t n = copy_file_range(from->fd.get(), &from_offset, to->fd.get(), &to_offset, length, 0);
  if (n < 0) return Errno("copy_file_range");
  return static_cast<size_t>(n);
}

Result<> Overlay::FileIoctl(NodeId node, unsigned request, void* argument) {
  TRY_ASSIGN(InodePtr inode, inodes_.Find(node));
  bool writes = request == FS_IOC_SETFLAGS || request == FS_IOC_FSSETXATTR;
  if (!writes && request != FS_IOC_GETFLAGS && request != FS_IOC_FSGETXATTR) {
    return Fail(ENOTTY, "ioctl");
  }
  if (!inode->IsDir() && !S_ISREG(inode->type)) return Fail(ENOTTY, "ioctl");
  std::optional<Passage> passage;
  if (writes) {
    TRY(RequireUpper());
    TRY_ASSIGN(Passage entered, gate_.Enter());
    passage.emplace(std::move(entered));
    TRY(EnsureUpper(inode, Need::kData));
    // An immutable file can neither be filled nor lose its marker; this may be what ends that.
    TRY(AwaitWhole(inode));
    if (auto settled = Settle(inode); !settled && settled.error().code() != EPERM) return settled;
  } else if (!inode->has_upper()) {  // the lower's flags are its owner's business
    memset(argument, 0, request == FS_IOC_GETFLAGS ? sizeof(int) : sizeof(struct fsxattr));
    return {};
  }
  TRY_ASSIGN(SharedFd fd, OpenUpper(inode, O_RDONLY));
  if (ioctl(fd->get(), request, argument) != 0) return Errno("ioctl");
  return {};
}

}  // namespace veneer::fs
