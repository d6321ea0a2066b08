// Rename, plain, NOREPLACE and EXCHANGE, of files and of directories from either side.
//
// Everything that must be in the upper is brought there before the locks are taken; then both ends
// are looked up again, markers are made right for the new place, and one renameat2 does the change,
// the whiteout at the old place included.
#include <fcntl.h>

#include <optional>

#include "fs/keep_times.h"
#include "fs/log.h"
#include "fs/overlay.h"
#include "store/base/beneath.h"
#include "store/base/fault.h"

namespace veneer::fs {

struct Overlay::RenameEnds {
  InodePtr parent;
  std::string name;
  InodePtr new_parent;
  std::string new_name;
  bool no_replace = false;
  bool exchange = false;

  InodePtr source;
  InodePtr target;  // what is at the new name, if anything
  Found source_found;
  Found target_found;
};

bool Overlay::IsAncestor(const InodePtr& ancestor, const InodePtr& node) {
  for (InodePtr at = node; at;) {
    if (at == ancestor) return true;
    InodePtr up;
    {
      MutexLock lock(at->mu);
      if (!at->names.empty()) up = at->names.front().parent;
    }
    at = std::move(up);
  }
  return false;
}

// The path of a merged directory in the lower. A moved one carries it; below, it goes by names.
Result<std::string> Overlay::LowerPathOf(const InodePtr& dir) {
  std::string path;
  for (InodePtr at = dir; at != root_;) {
    InodePtr up;
    {
      MutexLock lock(at->mu);
      if (!at->dir->redirect.empty()) return at->dir->redirect + path;
      if (at->names.empty()) return Fail(ENOENT, "removed directory");
      path.insert(0, "/" + at->names.front().name);
      up = at->names.front().parent;
    }
    at = std::move(up);
  }
  return path;
}

// What a directory must carry to mean the same at `new_name` in `new_parent`.
Result<> Overlay::SettleDirectory(const InodePtr& dir, Inode& new_parent,
                                  const std::string& new_name, const Found& at_new_name) {
  TRY_ASSIGN(SharedFd fd, UpperDir(dir));
  const FileAt at(fd->get());
  if (dir->lower) {
    TRY_ASSIGN(std::string lower_path, LowerPathOf(dir));
    TRY(upper_->SetMark(at, markers::kRedirect, lower_path));
    {
      MutexLock lock(dir->mu);
      dir->dir->redirect = lower_path;
    }
    NoteMoved(dir);
    return {};
  }
  TRY_ASSIGN(bool covers, LowerHas(new_parent, new_name, at_new_name));
  if (!covers) return {};
  return upper_->SetMark(at, markers::kOpaque, "y");
}

Result<> Overlay::FindEnds(RenameEnds& ends) {
  {
    ReadLock entries(ends.parent->dir->entries);
    TRY_ASSIGN(ends.source, Child(ends.parent, ends.name, &ends.source_found));
  }
  if (!ends.source) return Fail(ENOENT, "rename");
  {
    ReadLock entries(ends.new_parent->dir->entries);
    TRY_ASSIGN(ends.target, Child(ends.new_parent, ends.new_name, &ends.target_found));
  }
  const InodePtr& source = ends.source;
  const InodePtr& target = ends.target;
  if (!behaviour_.write_redirects) {
    for (const InodePtr& moved : {source, ends.exchange ? target : nullptr}) {
      if (moved && moved->IsDir() && moved->lower) return Fail(EXDEV, "rename");
    }
  }
  if (target && ends.no_replace) return Fail(EEXIST, "rename");
  if (!target && ends.exchange) return Fail(ENOENT, "rename");
  if (target && !ends.exchange) {
    if (source->IsDir() && !target->IsDir()) return Fail(ENOTDIR, "rename");
    if (!source->IsDir() && target->IsDir()) return Fail(EISDIR, "rename");
  }
  return CheckTopology(ends);
}

// Nothing moves into itself.
Result<> Overlay::CheckTopology(const RenameEnds& ends) {
  if (ends.source->IsDir() && IsAncestor(ends.source, ends.new_parent)) {
    return Fail(EINVAL, "rename");
  }
  if (ends.target && ends.target->IsDir() && IsAncestor(ends.target, ends.parent)) {
    return Fail(ends.exchange ? EINVAL : ENOTEMPTY, "rename");
  }
  return {};
}

// May copy much: not under rename_mu_.
Result<> Overlay::RaiseEnds(const RenameEnds& ends) {
  TRY(EnsureUpperDir(ends.parent));
  TRY(EnsureUpperDir(ends.new_parent));
  TRY(EnsureUpper(ends.source, Need::kPlaced));
  if (!ends.target) return {};
  bool exchanges = ends.exchange;
  if (!exchanges && !upper_->can_rename_whiteout()) {
    // No call leaves a whiteout behind: they change places first.
    TRY_ASSIGN(exchanges, LowerHas(*ends.parent, ends.name, ends.source_found));
  }
  if (exchanges) return EnsureUpper(ends.target, Need::kPlaced);
  return ends.target->IsDir() ? Result<>() : EnsureAllNames(ends.target, ends.target_found);
}

Result<> Overlay::Rename(NodeId parent, const std::string& name, NodeId new_parent,
                         const std::string& new_name, unsigned flags) NO_THREAD_SAFETY_ANALYSIS {
  TRY(RequireUpper());
  if ((flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE)) != 0 ||
      flags == (RENAME_NOREPLACE | RENAME_EXCHANGE)) {
    return Fail(EINVAL, "rename");
  }
  TRY(CheckName(name, false));
  TRY(CheckName(new_name, false));
  if (new_name.starts_with(markers::kAufsPrefix)) return Fail(EPERM, "name of a whiteout");
  RenameEnds ends;
  TRY_ASSIGN(ends.parent, inodes_.Find(parent));
  TRY_ASSIGN(ends.new_parent, inodes_.Find(new_parent));
  if (!ends.parent->IsDir() || !ends.new_parent->IsDir()) return Fail(ENOTDIR, "rename");
  ends.name = name;
  ends.new_name = new_name;
  ends.no_replace = (flags & RENAME_NOREPLACE) != 0;
  ends.exchange = (flags & RENAME_EXCHANGE) != 0;
  TRY_ASSIGN(Passage passage, gate_.Enter());
  bool across = ends.parent != ends.new_parent;
  for (;;) {
    TRY(FindEnds(ends));
    if (ends.source == ends.target) return {};  // two names of one file: nothing is to be done
    TRY(RaiseEnds(ends));
    // Who is whose ancestor must not change while two directories are locked.
    std::optional<MutexLock> topology;
    if (across) {
      topology.emplace(rename_mu_);
      // Whether these still are at the names TryRename() sees; if it would refuse them, they may
      // have been moved meanwhile.
      if (!CheckTopology(ends)) {
        TRY(FindEnds(ends));
        continue;
      }
    }
    Inode* first = ends.parent.get();
    Inode* second = across ? ends.new_parent.get() : nullptr;
    if (across && (IsAncestor(ends.new_parent, ends.parent) ||
                   (!IsAncestor(ends.parent, ends.new_parent) && second->id < first->id))) {
      std::swap(first, second);
    }
    EntriesLock first_entries(*first->dir);
    std::optional<EntriesLock> second_entries;
    if (second != nullptr) second_entries.emplace(*second->dir);
    TRY_ASSIGN(bool done, TryRename(ends));
    if (done) return {};
  }
}

// REQUIRES: the entries locks of both parents, exclusive. False: something changed since it was
// prepared.
Result<bool> Overlay::TryRename(RenameEnds& ends) NO_THREAD_SAFETY_ANALYSIS {
  TRY_ASSIGN(InodePtr source, Child(ends.parent, ends.name, &ends.source_found));
  TRY_ASSIGN(InodePtr target, Child(ends.new_parent, ends.new_name, &ends.target_found));
  if (source != ends.source || target != ends.target) return false;
  for (const InodePtr& dir : {ends.parent, ends.new_parent}) {
    MutexLock lock(dir->mu);
    if (dir->dead) return Fail(ENOENT, "removed directory");
  }
  if (!ends.exchange && target && target->IsDir()) {
    EntriesLock entries(*target->dir);
    TRY_ASSIGN(bool empty, IsEmpty(target));
    if (!empty) return Fail(ENOTEMPTY, "rename");
    TRY(RenameLocked(ends));
    return true;
  }
  TRY(RenameLocked(ends));
  return true;
}

// An empty directory may still hold whiteouts, which the host's rename would stumble over. Then
// `clean` is what was replaced.
Result<> Overlay::ReplaceByEmptyDir(const InodePtr& dir, int dirfd, const std::string& name,
                                    const Temporary& clean) {
  if (mkdirat(clean.dir(), clean.name().c_str(), 0700) != 0) return Errno("mkdir");
  TRY_ASSIGN(struct stat st, StatUpper(dir));
  TRY_ASSIGN(UniqueFd fd, OpenAt(clean.dir(), clean.name(), O_RDONLY | O_DIRECTORY));
  TRY(ImposeOwner(fd.get(), st));
  TRY(upper_->SetMark(FileAt(fd.get()), markers::kOpaque, "y"));
  if (renameat2(clean.dir(), clean.name().c_str(), dirfd, name.c_str(), RENAME_EXCHANGE) != 0) {
    return Errno("rename");
  }
  return {};
}

// For uppers where no single call leaves a whiteout behind. Over a crash each file keeps one name:
// the two may have changed places. A target is in the upper (RaiseEnds).
Result<> Overlay::MoveLeavingWhiteout(const RenameEnds& ends, int from, int to) {
  const char* name = ends.name.c_str();
  const char* new_name = ends.new_name.c_str();
  auto exchange = [&]() -> Result<> {
    if (renameat2(from, name, to, new_name, RENAME_EXCHANGE) != 0) return Errno("rename");
    return {};
  };
  if (upper_->file_whiteouts()) {
    const FileAt at(from);
    TRY_ASSIGN(auto opaque, upper_->ReadMark(at, markers::kOpaque));
    if (!opaque) TRY(upper_->SetMark(at, markers::kOpaque, "x"));
  }
  if (!ends.target || ends.target_found.whiteout) {
    // The whiteout hides nothing at the new place, and arrives as the source leaves.
    if (!ends.target_found.whiteout) TRY(PutWhiteout(to, ends.new_name, true));
    TRY(FaultPoint("rename.half_done"));
    auto moved = exchange();
    if (!moved && !ends.target_found.whiteout) unlinkat(to, new_name, 0);
    return moved;
  }
  TRY(exchange());
  TRY(FaultPoint("rename.half_done"));
  Result<> hidden;
  if (!ends.target->IsDir()) {
    hidden = PutWhiteout(from, ends.name, true);
  } else {
    hidden = [&]() -> Result<> {
      Temporary gone(*upper_);
      TRY(upper_->MakeWhiteout(gone.dir(), gone.name()));
      if (renameat2(gone.dir(), gone.name().c_str(), from, name, RENAME_EXCHANGE) != 0) {
        return Errno("rename");
      }
      return {};
    }();
  }
  if (!hidden) {
    if (auto back = exchange(); !back) return back;
  }
  return hidden;
}

Result<> Overlay::RenameLocked(RenameEnds& ends) {
  const InodePtr& source = ends.source;
  const InodePtr& target = ends.target;
  TRY_ASSIGN(SharedFd from, UpperDir(ends.parent));
  TRY_ASSIGN(SharedFd to, UpperDir(ends.new_parent));
  auto born_in_upper = [](const Inode& inode) { return inode.ino >> 48 == 1; };

  // An indexed file may be in the upper under other names only.
  if (source->indexed && !ends.source_found.upper) {
    TRY(LinkFromIndex(source, ends.source_found.lower, *ends.parent, from->get(), ends.name));
  }
  TRY(source->IsDir() ? SettleDirectory(source, *ends.new_parent, ends.new_name, ends.target_found)
                      : AnchorStub(source));
  if (!born_in_upper(*source)) TRY(MarkImpure(*ends.new_parent, to->get()));
  if (target && target->indexed && !ends.target_found.upper) {
    TRY(LinkFromIndex(target, ends.target_found.lower, *ends.new_parent, to->get(), ends.new_name));
    ends.target_found.upper = true;
  }
  if (ends.exchange) {
    TRY(target->IsDir() ? SettleDirectory(target, *ends.parent, ends.name, ends.source_found)
                        : AnchorStub(target));
    if (!born_in_upper(*target)) TRY(MarkImpure(*ends.parent, from->get()));
    TRY(FaultPoint("rename.before_exchange"));
    if (renameat2(from->get(), ends.name.c_str(), to->get(), ends.new_name.c_str(),
                  RENAME_EXCHANGE) != 0) {
      return Errno("rename");
    }
    TRY(FaultPoint("rename.after_exchange"));
    source->MoveName(ends.parent.get(), ends.name, ends.new_parent, ends.new_name);
    target->MoveName(ends.new_parent.get(), ends.new_name, ends.parent, ends.name);
    if (target->IsDir()) ++target->dir->changes;  // ".." is another
    if (source->IsDir()) ++source->dir->changes;
    int moved = (source->IsDir() ? 1 : 0) - (target->IsDir() ? 1 : 0);
    CountSubdirectory(*ends.parent, -moved);
    CountSubdirectory(*ends.new_parent, moved);
    return {};
  }

  SharedFd orphan;
  std::optional<KeepTimes> times;     // of who has it open
  std::optional<Temporary> replaced;  // what ReplaceByEmptyDir() took away
  if (target) {
    TRY_ASSIGN(orphan, OpenOrphan(target));
  }
  if (target && target->IsDir() && ends.target_found.upper) {
    if (orphan) times.emplace(orphan->get());
    replaced.emplace(*upper_);
    TRY(ReplaceByEmptyDir(target, to->get(), ends.new_name, *replaced));
  }
  TRY_ASSIGN(bool hides, LowerHas(*ends.parent, ends.name, ends.source_found));
  auto counting = target ? CountingNames(*target) : std::unique_lock<std::mutex>();
  auto renamed = [&]() -> Result<> {
    TRY(FaultPoint("rename.before"));
    if (hides && !upper_->can_rename_whiteout()) {
      return MoveLeavingWhiteout(ends, from->get(), to->get());
    }
    // A directory cannot replace a whiteout, but change places with it.
    bool exchanges = source->IsDir() && ends.target_found.whiteout;
    if (renameat2(from->get(), ends.name.c_str(), to->get(), ends.new_name.c_str(),
                  exchanges ? RENAME_EXCHANGE
                  : hides   ? RENAME_WHITEOUT
                            : 0) != 0) {
      return Errno("rename");
    }
    if (exchanges && !hides) {
      TRY(FaultPoint("rename.before_leftover"));
      unlinkat(from->get(), ends.name.c_str(), 0);  // left over, it would hide nothing
    }
    if (!exchanges && hides) counters_.whiteouts.fetch_add(1, std::memory_order_relaxed);
    return {};
  }();
  if (!renamed) {
    // The target is the directory it was.
    if (replaced && renameat2(replaced->dir(), replaced->name().c_str(), to->get(),
                              ends.new_name.c_str(), RENAME_EXCHANGE) != 0) {
      Log(LogLevel::kError, "{}: {}", ends.new_name, Errno("rename back").error().Message());
    }
    return renamed;
  }

  source->MoveName(ends.parent.get(), ends.name, ends.new_parent, ends.new_name);
  if (source->IsDir()) {
    ++source->dir->changes;  // ".." is another
    CountSubdirectory(*ends.parent, -1);
    CountSubdirectory(*ends.new_parent, 1);
  }
  TRY(FaultPoint("rename.after"));
  if (!target) return {};
  target->RemoveName(ends.new_parent.get(), ends.new_name);
  if (!target->IsDir()) return LostName(target, std::move(orphan));
  Bury(target, orphan);
  CountSubdirectory(*ends.new_parent, -1);
  cache_->Erase(target->dir->key);
  std::lock_guard moved(moved_mu_);
  if (target->lower) moved_.erase(target->lower.ino);
  return {};
}

}  // namespace veneer::fs
