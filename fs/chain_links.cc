// Lower inodes with several names in a store mount: the tree knows all names, and copy-up links
// them all. docs/filesystem.md "Hard links".
#include <fcntl.h>

#include <cstdio>

#include "fs/dir_stream.h"
#include "fs/keep_times.h"
#include "fs/log.h"
#include "fs/overlay.h"
#include "store/base/beneath.h"
#include "store/base/fault.h"

namespace veneer::fs {

namespace {

constexpr std::string_view kJournalSuffix = ".names";

// What the inode's file is called in work/links while it gets its names.
std::string LinkName(uint64_t ino) {
  char text[17];
  std::snprintf(text, sizeof text, "%016lx", ino);
  return text;
}

}  // namespace

// The journal makes "all names or none" survive a crash: until it is removed, the next mount links
// what is missing.
Result<SharedFd> Overlay::PlaceAllNames(const InodePtr& inode, Temporary& file) {
  TRY_ASSIGN(auto lower_names, lower_->Names(inode->lower));
  std::vector<Name> names;
  std::string journal;
  for (LowerName& n : lower_names) {
    TRY_ASSIGN(InodePtr parent, FindLowerDir(n.parent));
    if (!parent) continue;
    bool present;
    {
      ReadLock entries(parent->dir->entries);
      TRY_ASSIGN(Found found, Probe(*parent, n.name));
      present = !found.upper && found.lower.ino == inode->ino;
    }
    if (!present) continue;
    TRY(EnsureUpperDir(parent));
    TRY_ASSIGN(std::string path, UpperPath(parent));
    journal += (path.empty() ? n.name : path + "/" + n.name) + '\0';
    names.push_back({std::move(parent), std::move(n.name)});
  }
  std::string hex = LinkName(inode->ino);
  std::string journal_name = hex + std::string(kJournalSuffix);
  {
    TRY_ASSIGN(UniqueFd fd,
               OpenAt(journals_->get(), journal_name, O_WRONLY | O_CREAT | O_TRUNC, 0600));
    TRY(WriteAll(fd.get(), journal));
    if (!upper_->is_volatile() && fdatasync(fd.get()) != 0) return Errno("copy-up: journal");
  }
  TRY(FaultPoint("copy_up.after_journal"));
  struct stat own = {};
  if (fstatat(file.dir(), file.name().c_str(), &own, AT_SYMLINK_NOFOLLOW) != 0) {
    return Errno("stat");
  }
  if (renameat(file.dir(), file.name().c_str(), journals_->get(), hex.c_str()) != 0) {
    return Errno("copy-up: rename");
  }
  file.Commit();
  SharedFd into;
  Result<> linked = FaultPoint("copy_up.before_links");
  for (size_t i = 0; i < names.size() && linked; ++i) {
    linked = [&, this]() -> Result<> {
      InodePtr parent = names[i].parent;
      WriteLock entries(parent->dir->entries);
      TRY_ASSIGN(into, UpperDir(parent));
      KeepTimes keep(into->get());
      TRY(MarkImpure(*parent, into->get()));
      if (linkat(journals_->get(), hex.c_str(), into->get(), names[i].name.c_str(), 0) != 0) {
        return Errno("copy-up: link");
      }
      inode->AddName(parent, names[i].name);
      inode->upper_ino.store(own.st_ino, std::memory_order_release);
      return FaultPoint("copy_up.between_links");
    }();
    if (linked) continue;
    // Back to none: some names in the upper and some not would be two files.
    for (size_t j = 0; j <= i; ++j) {
      WriteLock entries(names[j].parent->dir->entries);
      auto dir = UpperDir(names[j].parent);
      struct stat st = {};
      if (dir && fstatat((*dir)->get(), names[j].name.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0 &&
          st.st_ino == own.st_ino) {
        unlinkat((*dir)->get(), names[j].name.c_str(), 0);
      }
    }
    inode->upper_ino.store(0, std::memory_order_release);
  }
  unlinkat(journals_->get(), hex.c_str(), 0);
  (void)FaultPoint("copy_up.before_journal_removed");
  unlinkat(journals_->get(), journal_name.c_str(), 0);
  if (!linked) return std::unexpected(std::move(linked).error());
  return into;
}

Result<> Overlay::FinishLinkJournals() {
  TRY_ASSIGN(auto entries, DirStream::Names(journals_->get()));
  int links = journals_->get();
  for (const std::string& name : entries) {
    if (!name.ends_with(kJournalSuffix)) continue;
    std::string hex = name.substr(0, name.size() - kJournalSuffix.size());
    TRY_ASSIGN(std::string paths, ReadFileAt(links, name, size_t{1} << 28));
    struct stat st = {};
    bool begun = fstatat(links, hex.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0;
    for (std::string_view rest = paths; begun && !rest.empty();) {
      std::string path(rest.substr(0, rest.find('\0')));
      rest.remove_prefix(std::min(rest.size(), path.size() + 1));
      size_t slash = path.rfind('/');
      std::string parent = slash == path.npos ? "." : path.substr(0, slash);
      auto dir = OpenBeneath(upper_->root(), parent, O_RDONLY | O_DIRECTORY, false);
      if (!dir) continue;
      KeepTimes keep(dir->get());
      TRY(upper_->SetMark(FdPath(dir->get()), XattrPath::kMagicLink, markers::kImpure, "y"));
      std::string leaf = slash == path.npos ? path : path.substr(slash + 1);
      if (linkat(links, hex.c_str(), dir->get(), leaf.c_str(), 0) != 0 && errno != EEXIST) {
        return Errno("finishing the copy-up of " + path);
      }
    }
    if (begun && unlinkat(links, hex.c_str(), 0) != 0) return Errno("work/links");
    if (unlinkat(links, name.c_str(), 0) != 0) return Errno("work/links");
  }
  return {};
}

Result<InodePtr> Overlay::FindLowerDir(uint64_t ino) {
  if (ino == root_->lower.ino) return root_;
  if (InodePtr known = inodes_.FindByIno(ino)) {
    bool usable = known->IsDir() && known->lower.ino == ino;
    {
      MutexLock lock(known->mu);
      usable = usable && !known->dead;
    }
    if (usable) return known;
  }
  TRY_ASSIGN(LowerName at, lower_->NameOfDir(ino));
  TRY_ASSIGN(InodePtr parent, FindLowerDir(at.parent));
  if (parent) {
    ReadLock entries(parent->dir->entries);
    TRY_ASSIGN(InodePtr child, Child(parent, at.name, nullptr));
    if (child && child->IsDir() && child->lower.ino == ino) return child;
  }
  TRY(FindMovedDirs());
  std::lock_guard lock(moved_mu_);
  auto it = moved_.find(ino);
  return it == moved_.end() ? nullptr : it->second;
}

void Overlay::NoteMoved(const InodePtr& dir) {
  if (!lower_->KnowsNames()) return;
  std::lock_guard lock(moved_mu_);
  moved_[dir->lower.ino] = dir;
}

// Directories that an earlier mount moved are found by their redirects, once, when first somebody
// asks.
Result<> Overlay::FindMovedDirs() {
  {
    std::lock_guard lock(moved_mu_);
    if (moved_complete_) return {};
  }
  TRY(WalkUpper(Walk::kDirectories, [&](const InodePtr& dir, const Found& found) -> Result<> {
    if (found.marks.redirect && dir->lower) NoteMoved(dir);
    return {};
  }));
  std::lock_guard lock(moved_mu_);
  moved_complete_ = true;
  return {};
}

}  // namespace veneer::fs
