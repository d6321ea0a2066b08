// Lower inodes with several names in a directory stack. Nobody knows all their names there: the
// index (link_index.h) leads from each name's inode to the one file in the upper.
// docs/filesystem.md "Hard links".
#include <fcntl.h>

#include "fs/keep_times.h"
#include "fs/log.h"
#include "fs/overlay.h"
#include "store/base/fault.h"

namespace veneer::fs {

std::unique_lock<std::mutex> Overlay::CountingNames(const Inode& inode) {
  return inode.indexed ? std::unique_lock(index_->names_mu()) : std::unique_lock<std::mutex>();
}

// The name stops being the lower's and becomes a link of the upper's file: the number of names
// stays, that of links grows. The two markers say the number in a way that is right before and
// after the link, so that no crash leaves it wrong.
Result<> Overlay::LinkFromIndex(const InodePtr& inode, const LowerRef& lower, Inode& dir, int dirfd,
                                const std::string& name) {
  TRY(MarkImpure(dir, dirfd));
  TRY_ASSIGN(struct stat below, lower_->Attr(lower));
  LinkIndex::Place place = index_->PlaceOf(inode->ino);
  int index = place.dir->get();
  const FileAt at(index, place.name);
  auto counting = CountingNames(*inode);
  struct stat st = {};
  if (fstatat(index, place.name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) return Errno("index");
  int names = static_cast<int>(st.st_nlink) + inode->link_delta;
  TRY(upper_->SetMark(at, markers::kNlink,
                      LinkIndex::CountMarkInTransit(place, names, below.st_nlink)));
  TRY(FaultPoint("link_up.before_link"));
  Result<> linked;
  if (linkat(index, place.name.c_str(), dirfd, name.c_str(), 0) != 0) {
    linked = Errno("link");
  } else {
    --inode->link_delta;
    TRY(FaultPoint("link_up.after_link"));
  }
  TRY(upper_->SetMark(at, markers::kNlink, LinkIndex::CountMark(inode->link_delta)));
  return linked;
}

Result<SharedFd> Overlay::PlaceIndexed(const InodePtr& inode, Temporary& file,
                                       const struct stat& st) {
  LinkIndex::Place place = index_->PlaceFor(inode->lower);
  int delta = static_cast<int>(st.st_nlink) - 1;
  TRY(upper_->SetMark(FileAt(file.dir(), file.name()), markers::kNlink,
                      LinkIndex::CountMark(delta)));
  struct stat own = {};
  if (fstatat(file.dir(), file.name().c_str(), &own, AT_SYMLINK_NOFOLLOW) != 0) {
    return Errno("stat");
  }
  TRY(FaultPoint("copy_up.before_index"));
  if (renameat2(file.dir(), file.name().c_str(), place.dir->get(), place.name.c_str(),
                RENAME_NOREPLACE) != 0) {
    return Errno("copy-up: index");
  }
  file.Commit();
  // From here on the file is in the upper, and nothing may keep it from being published.
  SharedFd into = place.dir;
  index_->Add(inode->ino, std::move(place));
  inode->link_delta = delta;
  inode->indexed = true;
  inode->upper_ino.store(own.st_ino, std::memory_order_release);
  // The index is enough for us; others who read the upper see the names that were used.
  std::vector<Name> names;
  {
    MutexLock lock(inode->mu);
    names.assign(inode->names.begin(), inode->names.end());
  }
  auto link = [&](const Name& name) -> Result<> {
    TRY(FaultPoint("copy_up.after_index"));
    TRY(EnsureUpperDir(name.parent));
    WriteLock entries(name.parent->dir->entries);
    TRY_ASSIGN(Found found, Probe(*name.parent, name.name));
    if (found.upper || found.lower.ino != inode->ino) return {};
    TRY_ASSIGN(SharedFd dir, UpperDir(name.parent));
    KeepTimes keep(dir->get());
    TRY(LinkFromIndex(inode, found.lower, *name.parent, dir->get(), name.name));
    into = std::move(dir);
    return {};
  };
  for (const Name& name : names) {
    if (auto linked = link(name); !linked) {
      Log(LogLevel::kWarning, "{}: {}; the index has it", name.name, linked.error().Message());
    }
  }
  return into;
}

// A name of an indexed inode is gone, or was replaced. The entry goes with the last.
Result<bool> Overlay::LostIndexedName(const InodePtr& inode) {
  LinkIndex::Place place = index_->PlaceOf(inode->ino);
  struct stat st = {};
  if (fstatat(place.dir->get(), place.name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) return false;
  return static_cast<int>(st.st_nlink) + inode->link_delta <= 0;
}

}  // namespace veneer::fs
