// Names: what an entry of a directory is, and which inode that makes.
#include <fcntl.h>

#include <optional>

#include "fs/copy_turn.h"
#include "fs/log.h"
#include "fs/overlay.h"
#include "store/base/beneath.h"
#include "store/base/fault.h"

namespace veneer::fs {

namespace {

constexpr size_t kNameMax = 255;
// Of 512 bytes: what a file without data may have.
constexpr blkcnt_t kBlocksOfAttributes = 128;
constexpr uint64_t kInoMask = markers::kUpperInoBit - 1;

}  // namespace

Result<> Overlay::CheckName(const std::string& name, bool creating) const {
  if (name.size() > kNameMax) return Fail(ENAMETOOLONG, "name");
  if (name.empty()) return Fail(ENOENT, "name");
  if (!creating) return {};
  if (name.starts_with(markers::kAufsPrefix)) return Fail(EPERM, "name of a whiteout");
  if (name == "." || name == "..") return Fail(EEXIST, "name");
  return {};
}

Result<Overlay::Found> Overlay::Probe(Inode& dir, const std::string& name) {
  Found found;
  if (dir.has_upper()) {
    TRY_ASSIGN(SharedFd fd, UpperDir(dir.shared_from_this()));
    if (fstatat(fd->get(), name.c_str(), &found.st, AT_SYMLINK_NOFOLLOW) == 0) {
      if (upper_->IsWhiteout(fd->get(), name, found.st)) {
        found.whiteout = true;
        return found;
      }
      // Whiteouts are what the host says; other entries, what they say themselves.
      if (upper_->stat_override().active() && !upper_->StatAt(fd->get(), name, found.st)) {
        return Errno("lookup");
      }
      found.upper = true;
    } else if (errno != ENOENT) {
      return Errno("lookup");
    }
    if (found.upper) {
      bool is_dir = S_ISDIR(found.st.st_mode);
      if (is_dir || dir.dir->impure) {
        TRY_ASSIGN(found.marks, upper_->ReadMarks(FileAt(fd->get(), name)));
      }
      if (!is_dir && !found.marks.ino && found.marks.origin) {  // copied up by the kernel
        if (auto file = lower_->FromOrigin(*found.marks.origin)) found.marks.ino = file->ino;
      }
      if (!is_dir || found.marks.opaque) return found;
      const auto& redirect = found.marks.redirect;
      if (redirect && redirect->starts_with('/')) {
        TRY_ASSIGN(found.lower, lower_->LookupPath(*redirect));
      } else if (dir.lower) {
        TRY_ASSIGN(found.lower, lower_->Lookup(dir.lower, redirect ? *redirect : name));
      }
      if (!found.lower.IsDir()) found.lower = {};
      return found;
    }
  }
  if (dir.lower) {
    TRY_ASSIGN(found.lower, lower_->LookupWithAttr(dir.lower, name, found.lower_attr));
  }
  return found;
}

uint64_t Overlay::InoOf(const Found& found) const {
  if (!found.upper) return found.lower.ino;
  if (found.marks.ino) return *found.marks.ino;
  if (found.lower) return found.lower.ino;
  return markers::kUpperInoBit | ((found.st.st_ino ^ (found.st.st_ino >> 48)) & kInoMask);
}

Result<InodePtr> Overlay::InodeOf(const InodePtr& dir, const std::string& name,
                                  const Found& found) {
  mode_t type = found.upper ? found.st.st_mode & S_IFMT : found.lower.type;
  LowerRef lower = found.lower;
  bool stub = found.upper && found.marks.metacopy && S_ISREG(type);
  if (stub) {
    DataMark mark{.metacopy = *found.marks.metacopy, .redirect = found.marks.redirect};
    auto data = lower_->FromMark(mark, dir->lower, name);
    if (data) {
      lower = *data;
    } else {
      Log(LogLevel::kError, "{}: {}", name, data.error().Message());
    }
  }
  const uint64_t ino = InoOf(found);
  bool fresh = false;
  InodePtr inode;
  for (bool settled = false; !settled;) {
    bool had = index_ && !S_ISDIR(type) && index_->Has(ino);
    bool linked = had;
    LinkIndex::Entry entry;
    if (had) {
      TRY_ASSIGN(entry, index_->Read(ino));
      linked = found.upper ? found.st.st_ino == entry.upper_ino : index_->IsOf(ino, found.lower);
      if (linked && !found.upper) stub = entry.stub;  // found.lower has its data
    }
    settled = true;
    inode = inodes_.FindOrMake(ino, [&](NodeId id) {
      fresh = true;
      // A file may get or lose its entry in the index only while its inode is in the table: not
      // from here on.
      settled = !index_ || S_ISDIR(type) || index_->Has(ino) == had;
      auto made = std::make_shared<Inode>(inodes_, id, ino, type, lower);
      MutexLock lock(made->mu);
      if (linked || found.upper) {
        made->upper_ino = linked ? entry.upper_ino : found.st.st_ino;
        made->data = stub ? Data::kStub : Data::kUpper;
        // It may have been a stub until just now, forgotten before anybody synced it.
        if (S_ISREG(type) && (linked || found.marks.ino)) {
          made->mark_removal = Inode::kMarkRemovedBefore;
        }
        // Its settling failed, before it was forgotten.
        made->pending = !stub && (linked ? entry.pending : found.marks.pending);
      }
      made->indexed = linked;
      made->link_delta = entry.delta;
      if (made->dir) {
        made->dir->impure = found.marks.impure;
        if (found.marks.redirect && lower) made->dir->redirect = *found.marks.redirect;
      }
      // Named before others can find it: reaching a file in the upper needs a name.
      made->names.push_back({dir, name});
      return made;
    });
    if (!settled) inode.reset();
  }
  if (inode->type != type) {
    Log(LogLevel::kError, "{}: inode number {} is another file's", name, inode->ino);
    return Fail(EIO, "inode number clash");
  }
  if (fresh && inode->dir && found.marks.redirect && !found.marks.redirect->starts_with('/')) {
    // A sibling's name: keep the whole path, which stays right when the directory moves.
    TRY_ASSIGN(std::string parent, LowerPathOf(dir));
    MutexLock lock(inode->mu);
    inode->dir->redirect = parent + "/" + *found.marks.redirect;
  }
  if (fresh && stub) TRY(SettleStub(inode));
  if (fresh && inode->pending) to_settle_->Add(inode);
  if (!fresh) inode->AddName(dir, name);
  return inode;
}

// What was read of a stub before its inode was in the table may be out of date, or what a crash
// left. Others may have found the inode since: whoever brings its data begins by emptying it, and
// this must not.
Result<> Overlay::SettleStub(const InodePtr& inode) {
  std::optional<CopyTurn> turn;
  {
    const Impatient scope;  // a directory is locked
    turn.emplace(inodes_, inode);
  }
  if (!turn->held()) return {};
  {
    MutexLock lock(inode->mu);
    if (inode->data != Data::kStub) return {};
  }
  TRY_ASSIGN(SharedFd fd, OpenUpper(inode, O_PATH));
  TRY_ASSIGN(auto mark, upper_->ReadMark(FileAt(fd->get()), markers::kMetacopy));
  if (!mark) {  // the data has come; from now on it comes through this inode
    MutexLock lock(inode->mu);
    inode->data = Data::kUpper;
    return {};
  }
  if (!inode->lower) return {};
  TRY(FaultPoint("stub.before_settled"));
  TRY_ASSIGN(struct stat below, lower_->Attr(inode->lower));
  struct stat st = {};
  if (fstat(fd->get(), &st) != 0) return Errno("stub");
  if (st.st_size == below.st_size && st.st_blocks <= kBlocksOfAttributes) return {};
  // A crash while the stub was being emptied, or filled: the marker counts.
  TRY_ASSIGN(SharedFd data, OpenUpper(inode, O_WRONLY));
  TRY(KeepingXattr(
      FileAt(data->get()), upper_->StoredXattrName("security.capability"), [&]() -> Result<> {
        if (ftruncate(data->get(), 0) != 0 || ftruncate(data->get(), below.st_size) != 0) {
          return Errno("stub");
        }
        return {};
      }));
  inode->ForgetLacks(Inode::kLacksCapability);  // it was gone for a moment
  timespec times[2] = {st.st_atim, st.st_mtim};
  (void)futimens(data->get(), times);
  return {};
}

Result<InodePtr> Overlay::Child(const InodePtr& dir, const std::string& name, Found* found) {
  TRY_ASSIGN(Found f, Probe(*dir, name));
  if (found != nullptr) *found = f;
  if (!f.exists()) return nullptr;
  return InodeOf(dir, name, f);
}

Result<Entry> Overlay::EntryOf(const InodePtr& inode, const struct stat* hint,
                               const struct stat* lower_hint) {
  TRY_ASSIGN(struct stat st, Attr(inode, hint, lower_hint));
  inodes_.Hold(inode);
  return Entry{inode->id, ownership_.Shown(st)};
}

Result<Entry> Overlay::Lookup(NodeId parent, const std::string& name) {
  counters_.lookups.fetch_add(1, std::memory_order_relaxed);
  TRY(CheckName(name, false));
  TRY_ASSIGN(InodePtr dir, inodes_.Find(parent));
  if (!dir->IsDir()) return Fail(ENOTDIR, "lookup");
  Found found;
  InodePtr child;
  {
    ReadLock lock(dir->dir->entries);
    {
      MutexLock state(dir->mu);
      if (dir->dead) return Fail(ENOENT, "removed directory");
    }
    TRY_ASSIGN(child, Child(dir, name, &found));
  }
  if (!child) return Fail(ENOENT, "lookup");
  return EntryOf(child, found.upper && !found.marks.metacopy ? &found.st : nullptr,
                 found.lower_attr ? &*found.lower_attr : nullptr);
}

bool Overlay::Forget(NodeId node, uint64_t count) { return inodes_.Forget(node, count); }

}  // namespace veneer::fs
