// Copies that become durable later. A copy-up does not wait for the disk: the file carries the
// marker `veneer.pending`, which says where its data is in the lower, and a thread takes it away
// when the data is durable, for many files at once; whoever syncs the file does so at once. A mount
// after a crash finds out which of the files that still carry it have all their data, and makes the
// others stubs: the lower's data counts again. docs/filesystem.md "Copy-up".
#include <fcntl.h>

#include "fs/copy_data.h"
#include "fs/dir_stream.h"
#include "fs/log.h"
#include "fs/overlay.h"
#include "fs/patience.h"
#include "store/base/beneath.h"
#include "store/base/fault.h"

namespace veneer::fs {

namespace {

// More are synced with everything else on the host's filesystem: one wait instead of many.
constexpr size_t kSyncEach = 16;

// The marker's value: the value that the marker `metacopy` would have, a newline, and that of
// `redirect`.
std::string FormatPending(const DataMark& mark) {
  return mark.metacopy + "\n" + mark.redirect.value_or("");
}

DataMark ParsePending(const std::string& value) {
  size_t end = std::min(value.find('\n'), value.size());
  DataMark mark{.metacopy = value.substr(0, end), .redirect = {}};
  if (end + 1 < value.size()) mark.redirect = value.substr(end + 1);
  return mark;
}

}  // namespace

Result<bool> Overlay::MarkPending(int fd, const Inode& inode) {
  if (!upper_->can_wait() || !inode.lower) return false;
  TRY_ASSIGN(auto mark, lower_->MarkOf(inode.lower));
  if (!mark) return false;
  {
    std::lock_guard lock(background_mu_);
    if (!noted_) TRY(upper_->NotePending());
    noted_ = true;
  }
  auto set = upper_->SetMark(FileAt(fd), markers::kPending, FormatPending(*mark));
  if (set) return true;
  // No room for it beside the file's other attributes.
  int code = set.error().code();
  if (code == ENOSPC || code == E2BIG || code == ERANGE || code == EDQUOT) return false;
  return std::unexpected(std::move(set).error());
}

Result<> Overlay::Unmark(const InodePtr& inode) {
  TRY(FaultPoint("settle.before_unmark"));
  TRY_ASSIGN(SharedFd fd, OpenUpper(inode, O_PATH));
  TRY(upper_->RemoveMark(FileAt(fd->get()), markers::kPending));
  inode->mark_removal = Inode::kMarkRemoved;
  inode->pending = false;
  return FaultPoint("settle.after_unmark");
}

Result<> Overlay::Settle(const InodePtr& inode) {
  if (!inode->pending) return {};
  TRY(RequirePatience("sync"));
  TRY(FaultPoint("settle.before_sync"));
  TRY_ASSIGN(SharedFd fd, OpenUpper(inode, O_RDONLY));
  // All of it: if it was a stub, that marker's removal too.
  if (fsync(fd->get()) != 0) return Errno("fsync");
  return Unmark(inode);
}

void Overlay::FailedInBackground(const InodePtr& inode, Error error) {
  std::lock_guard lock(background_mu_);
  failed_.push_back(inode);
  background_error_ = std::move(error);
}

void Overlay::SettleBatch(const std::vector<InodePtr>& batch) {
  bool each = batch.size() <= kSyncEach;
  auto synced = [&]() -> Result<> {
    if (each) return {};
    TRY(FaultPoint("settle.before_sync"));
    return upper_->SyncAll();
  }();
  for (const InodePtr& inode : batch) {
    if (!inode->pending) continue;
    auto settled = !synced ? synced : each ? Settle(inode) : Unmark(inode);
    {
      MutexLock lock(inode->mu);
      if (inode->dead) continue;
    }
    if (settled) continue;
    Log(LogLevel::kError, "inode {}: {}", inode->ino, settled.error().Message());
    FailedInBackground(inode, std::move(settled).error());
  }
}

// A size below the lower's would be taken for a copy that is not whole.
Result<> Overlay::TruncateData(const InodePtr& inode, int fd, uint64_t size) {
  if (PartialCopyPtr partial = PartialOf(*inode)) {
    TRY(RequirePatience("truncate"));
    TRY(partial->Truncate(size));
    return Settle(inode);
  }
  bool pending = inode->pending;
  if (pending && size > 0) {
    TRY(Settle(inode));
    pending = false;
  }
  if (ftruncate(fd, static_cast<off_t>(size)) != 0) return Errno("truncate");
  return pending ? Unmark(inode) : Result<>();
}

Result<> Overlay::RecoverPending() {
  TRY_ASSIGN(bool noted, upper_->HasPendingNote());
  if (!noted) return {};
  // What is whole from here on is durable.
  TRY(upper_->SyncAll());
  TRY_ASSIGN(bool all, RecoverTree(upper_->shared_root()));
  for (const char* folder : {markers::kWorkIndex, markers::kWorkLinks}) {
    TRY_ASSIGN(SharedFd dir, upper_->FindWorkFolder(folder));
    if (!dir) continue;
    TRY_ASSIGN(bool here, RecoverTree(dir));
    all = all && here;
  }
  TRY(FaultPoint("recover.before_note_removed"));
  unrecovered_ = !all;
  return all ? upper_->RemovePendingNote() : Result<>();
}

Result<bool> Overlay::RecoverTree(SharedFd top) {
  bool all = true;
  std::vector<std::pair<SharedFd, std::string>> directories = {{std::move(top), "."}};
  while (!directories.empty()) {
    auto [parent, path] = std::move(directories.back());
    directories.pop_back();
    TRY_ASSIGN(UniqueFd opened, OpenAt(parent->get(), path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    auto dir = std::make_shared<const UniqueFd>(std::move(opened));
    TRY_ASSIGN(auto names, DirStream::Names(dir->get()));
    for (std::string& name : names) {
      struct stat st = {};
      if (fstatat(dir->get(), name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) return Errno("stat");
      if (S_ISDIR(st.st_mode)) {
        directories.emplace_back(dir, std::move(name));
      } else if (S_ISREG(st.st_mode)) {
        auto recovered = RecoverFile(dir->get(), name);
        if (recovered) continue;
        // An immutable one keeps its marker: it was settled before it became immutable.
        if (recovered.error().code() != EPERM) {
          return std::unexpected(std::move(recovered).error().Within("recovery of " + name));
        }
        Log(LogLevel::kWarning, "{}: {}", name, recovered.error().Message());
        all = false;
      }
    }
  }
  return all;
}

Result<> Overlay::RecoverFile(int dirfd, const std::string& name) {
  const FileAt entry(dirfd, name);
  TRY_ASSIGN(auto value, upper_->ReadMark(entry, markers::kPending));
  if (!value) return {};
  TRY_ASSIGN(auto stub, upper_->ReadMark(entry, markers::kMetacopy));
  DataMark mark = ParsePending(*value);
  if (!stub) {
    auto lower = lower_->FromMark(mark, {}, name);
    bool missing = !lower && (lower.error().code() == EIO || lower.error().code() == ENOENT);
    if (!lower && !missing) return std::unexpected(std::move(lower).error());
    if (missing) {  // nothing to go back to
      Log(LogLevel::kError, "{}: {}", name, lower.error().Message());
      return upper_->RemoveMark(entry, markers::kPending);
    }
    TRY_ASSIGN(struct stat below, lower_->Attr(*lower));
    TRY_ASSIGN(UniqueFd from, lower_->Open(*lower));
    TRY_ASSIGN(UniqueFd fd, OpenAt(dirfd, name, O_RDONLY | O_NOFOLLOW));
    auto size = static_cast<uint64_t>(below.st_size);
    TRY_ASSIGN(bool whole, CopyIsWhole(from.get(), fd.get(), size));
    if (!whole) {
      TRY_ASSIGN(fd, OpenAt(dirfd, name, O_RDWR | O_NOFOLLOW));
      Log(LogLevel::kWarning,
          "{}: was not written before a crash: it is what it was before it was "
          "changed",
          name);
      if (mark.redirect) {
        TRY(upper_->SetMark(entry, markers::kRedirect, *mark.redirect));
      }
      TRY(upper_->SetMark(entry, markers::kMetacopy, mark.metacopy));
      TRY(FaultPoint("recover.before_data"));
      TRY(KeepingXattr(entry, upper_->StoredXattrName("security.capability"), [&]() -> Result<> {
        if (ftruncate(fd.get(), 0) != 0 || ftruncate(fd.get(), below.st_size) != 0) {
          return Errno("recovery");
        }
        return behaviour_.metacopy ? Result<>() : RefillStub(from.get(), fd.get(), size);
      }));
      timespec times[2] = {below.st_atim, below.st_mtim};
      if (futimens(fd.get(), times) != 0) return Errno("recovery");
    }
  }
  TRY(FaultPoint("recover.before_unmark"));
  return upper_->RemoveMark(entry, markers::kPending);
}

// For uppers whose other readers know no stubs.
Result<> Overlay::RefillStub(int from, int to, uint64_t size) {
  TRY(CopyData(from, to, size));
  if (fdatasync(to) != 0) return Errno("recovery");
  TRY(upper_->RemoveMark(FileAt(to), markers::kMetacopy));
  return upper_->RemoveMark(FileAt(to), markers::kRedirect);
}

Result<> Overlay::SettleAll() {
  if (!to_settle_) return {};
  std::vector<InodePtr> failed;
  {
    std::lock_guard lock(background_mu_);
    failed.swap(failed_);
    background_error_.reset();
  }
  for (InodePtr& inode : failed) {
    InodeQueue& queue = PartialOf(*inode) ? *to_fill_ : *to_settle_;
    queue.Add(std::move(inode));
  }
  to_fill_->Flush();
  to_settle_->Flush();
  std::lock_guard lock(background_mu_);
  if (failed_.empty() || !background_error_) return {};
  return std::unexpected(*background_error_);
}

void Overlay::Finish() {
  if (!upper_) return;
  upper_->SayEnding();
  (void)SettleAll();  // logged
  to_fill_.reset();
  to_settle_.reset();
  if (!noted_ || unrecovered_ || !failed_.empty()) return;
  if (auto removed = upper_->RemovePendingNote(); !removed) {
    Log(LogLevel::kWarning, "work/{}: {}", markers::kWorkPending, removed.error().Message());
  }
}

}  // namespace veneer::fs
