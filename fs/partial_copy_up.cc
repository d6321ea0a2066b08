// Copying large files up block by block: who opens one to write goes on at once, with what the file
// has so far in a PartialCopy; a thread brings the rest.
//
// A file that the upper did not have gets its name there when all of its data has come: until then
// it is an orphan, as a file made by TmpFile() is, and the lower's name leads to its inode. A stub
// has its names already, and loses its marker then. docs/filesystem.md "Copy-up".
#include <fcntl.h>

#include <algorithm>

#include "fs/copy_turn.h"
#include "fs/log.h"
#include "fs/overlay.h"
#include "fs/partial_copy.h"
#include "fs/slice.h"
#include "store/base/beneath.h"
#include "store/base/fault.h"

namespace veneer::fs {

namespace {

// Below, a copy takes less than what one waits for a disk.
constexpr uint64_t kPartialFrom = 8 << 20;  // bytes
constexpr unsigned kPartialMost = 32;       // at a time

Result<UniqueFd> Duplicate(int fd) {
  UniqueFd copy(fcntl(fd, F_DUPFD_CLOEXEC, 0));
  if (!copy) return Errno("copy-up");
  return copy;
}

}  // namespace

PartialCopyPtr Overlay::PartialOf(Inode& inode) {
  MutexLock lock(inode.mu);
  return inode.data == Data::kPartial ? inode.rare().partial.copy : nullptr;
}

Result<bool> Overlay::BeginPartial(const InodePtr& inode, const UniqueFd& from, int to,
                                   uint64_t size, bool placed) {
  // Each has descriptors as long as it lasts.
  if (partials_.load(std::memory_order_relaxed) >= kPartialMost) return false;
  struct stat st = {};
  if (fstat(to, &st) != 0) return Errno("stat");
  TRY_ASSIGN(UniqueFd source, Duplicate(from.get()));
  TRY_ASSIGN(UniqueFd target, Duplicate(to));
  TRY_ASSIGN(UniqueFd backing, Duplicate(to));
  TRY_ASSIGN(UniqueFd orphan, Duplicate(to));
  auto copy = PartialCopy::Begin(std::move(source), std::move(target), size);
  if (!copy && copy.error().code() == EOPNOTSUPP) return false;
  if (!copy) return std::unexpected(std::move(copy).error());
  timespec times[2] = {st.st_atim, st.st_mtim};
  if (futimens(to, times) != 0) return Errno("copy-up: times");
  BackingPtr old;  // closed after the lock
  MutexLock lock(inode->mu);
  Inode::Rare& rare = inode->MakeRare();
  partials_.fetch_add(1, std::memory_order_relaxed);
  auto left = [this](Passage* passage) {
    delete passage;
    partials_.fetch_sub(1, std::memory_order_relaxed);
  };
  rare.partial = {
      .copy = *copy, .placed = placed, .passage = {new Passage(gate_.EnterToo()), left}};
  inode->data = Data::kPartial;
  rare.shown.reset();
  if (!placed) rare.orphan = std::make_shared<const UniqueFd>(std::move(orphan));
  inode->upper_ino.store(st.st_ino, std::memory_order_release);
  if (inode->opens > 0) {
    old = std::move(inode->backing);
    inode->backing = std::make_shared<const Backing>(Backing{.fd = std::move(backing),
                                                             .upper = true,
                                                             .writable = true,
                                                             .appends = false,
                                                             .partial = *copy});
  }
  return true;
}

Result<bool> Overlay::CopyUpInPart(const InodePtr& inode, const UniqueFd& from,
                                   const struct stat& st) {
  if (!behaviour_.metacopy || static_cast<uint64_t>(st.st_size) < kPartialFrom || st.st_nlink > 1 ||
      (st.st_mode & (S_ISUID | S_ISGID)) != 0) {
    return false;
  }
  // Writing takes capabilities away, and would go on doing so.
  TRY_ASSIGN(auto names, lower_->XattrNames(inode->lower));
  if (std::find(names.begin(), names.end(), "security.capability") != names.end()) return false;
  auto to = OpenAt(upper_->temporary(), ".", O_TMPFILE | O_RDWR, 0600);
  if (!to) return false;  // not on all filesystems
  TRY(ApplyLowerAttributes(to->get(), *inode, st, true));
  return BeginPartial(inode, from, to->get(), static_cast<uint64_t>(st.st_size), false);
}

Result<bool> Overlay::MayFillInPart(int stub, const struct stat& st) {
  // Who reads the stubs of a directory stack believes their sizes.
  if (static_cast<uint64_t>(st.st_size) < kPartialFrom || !lower_->KnowsNames()) return false;
  if ((st.st_mode & (S_ISUID | S_ISGID)) != 0) return false;
  TRY_ASSIGN(auto capability,
             FindXattr(FileAt(stub), upper_->StoredXattrName("security.capability")));
  return !capability;
}

Result<> Overlay::FinishPartial(const InodePtr& inode) {
  PartialFile partial;
  {
    MutexLock lock(inode->mu);
    partial = inode->rare().partial;
  }
  for (bool more = true; more;) {
    {
      MutexLock lock(inode->mu);
      if (inode->dead && inode->opens == 0) {  // for nobody
        inode->MakeRare().partial.passage.reset();
        return {};
      }
    }
    TRY(FaultPoint("copy_up.before_piece"));
    uint64_t copied = 0;
    TRY_ASSIGN(more, partial.copy->CopyPiece(&copied));
    counters_.bytes_copied.fetch_add(copied, std::memory_order_relaxed);
  }
  int fd = partial.copy->fd();
  bool waits = false;
  if (!upper_->is_volatile()) {
    // A file that was cut shorter could not be told from one that is not whole.
    if (!partial.copy->shrunk()) {
      TRY_ASSIGN(waits, MarkPending(fd, *inode));
    }
    inode->pending = waits;
    if (waits && partial.copy->shrunk()) {
      TRY(upper_->RemoveMark(FileAt(fd), markers::kPending));
      inode->pending = waits = false;
    }
    if (!waits && fdatasync(fd) != 0) return Errno("copy-up: sync");
  }
  struct stat own = {};
  if (fstat(fd, &own) != 0) return Errno("stat");
  TRY_ASSIGN(UniqueFd backing, Duplicate(fd));  // nothing may fail once the file has its name
  TRY(FaultPoint("copy_up.before_whole"));
  bool named = true;
  SharedFd into;
  if (partial.placed) {
    TRY(RemoveStubMark(inode, fd, waits));
  } else {
    TRY_ASSIGN(into, PlaceOneName(inode, [fd](int dirfd, const char* name) -> Result<> {
                 if (linkat(AT_FDCWD, FdPath(fd).c_str(), dirfd, name, AT_SYMLINK_FOLLOW) != 0) {
                   return Errno("copy-up: link");
                 }
                 return {};
               }));
    named = into != nullptr;
    counters_.copy_ups.fetch_add(1, std::memory_order_relaxed);
  }
  Publish(inode, own.st_ino, Data::kUpper, std::move(backing));
  {
    SharedFd orphan;  // closed after the lock
    MutexLock lock(inode->mu);
    if (!partial.placed && named && !inode->dead) orphan.swap(inode->MakeRare().orphan);
  }
  if (waits) {
    to_settle_->Add(inode);
  } else if (into) {
    TRY(upper_->SyncDir(into->get()));
  }
  return FaultPoint("copy_up.after_whole");
}

Result<> Overlay::AwaitWhole(const InodePtr& inode) {
  if (!PartialOf(*inode)) return {};
  TRY(RequirePatience("copy-up"));
  CopyTurn turn(inodes_, inode);
  return PartialOf(*inode) ? FinishPartial(inode) : Result<>();
}

void Overlay::FillBatch(const std::vector<InodePtr>& batch) {
  const LongSlice slice(LongSlice::kNobodyWaits);
  for (const InodePtr& inode : batch) {
    auto filled = AwaitWhole(inode);
    if (filled) continue;
    Log(LogLevel::kError, "inode {}: {}", inode->ino, filled.error().Message());
    {
      std::shared_ptr<Passage> passage;  // left after the lock: others need not wait for it
      MutexLock lock(inode->mu);
      passage.swap(inode->MakeRare().partial.passage);
    }
    FailedInBackground(inode, std::move(filled).error());
  }
}

}  // namespace veneer::fs
