// Lower inodes with several names in a store mount: the tree knows all names, and copy-up links
// them all. docs/filesystem.md "Hard links".
#include <fcntl.h>

#include <charconv>
#include <cstdio>
#include <optional>
#include <set>
#include <utility>

#include "fs/dir_stream.h"
#include "fs/keep_times.h"
#include "fs/log.h"
#include "fs/overlay.h"
#include "store/base/beneath.h"
#include "store/base/fault.h"

namespace veneer::fs {

namespace {

constexpr std::string_view kJournalSuffix = ".names";

std::optional<uint64_t> ParseHex(std::string_view text) {
  uint64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// What the inode's file is called in work/links while it gets its names.
std::string LinkName(uint64_t ino) {
  char text[17];
  std::snprintf(text, sizeof text, "%016lx", ino);
  return text;
}

// A journal lists names as "/<16 hex of the lower directory's inode number>/<name>", each followed
// by a NUL byte.
std::string JournalLine(const LowerName& name) {
  return "/" + LinkName(name.parent) + "/" + name.name + '\0';
}

// Nothing where it is none of these lines.
std::optional<std::set<std::pair<uint64_t, std::string>>> ParseJournal(std::string_view journal) {
  constexpr size_t kDigits = 16;
  std::set<std::pair<uint64_t, std::string>> names;
  while (!journal.empty()) {
    size_t end = journal.find('\0');
    if (end == journal.npos) return std::nullopt;
    std::string_view line = journal.substr(0, end);
    journal.remove_prefix(end + 1);
    if (line.size() < kDigits + 3 || line[0] != '/' || line[kDigits + 1] != '/')
      return std::nullopt;
    auto parent = ParseHex(line.substr(1, kDigits));
    if (!parent) return std::nullopt;
    names.emplace(*parent, line.substr(kDigits + 2));
  }
  return names;
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
    journal += JournalLine(n);
    names.push_back({std::move(parent), std::move(n.name)});
  }
  std::string hex = LinkName(inode->ino);
  std::string journal_name = hex + std::string(kJournalSuffix);
  // What an earlier copy-up left behind is not this one's file.
  if (unlinkat(journals_->get(), hex.c_str(), 0) != 0 && errno != ENOENT) {
    return Errno("copy-up: links");
  }
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

// Links only what the lower still shows under a listed name: a journal that is out of date, or none
// at all, changes nothing.
Result<> Overlay::FinishLinkJournal(uint64_t ino, const std::string& hex,
                                    const JournalNames& names) {
  TRY_ASSIGN(UniqueFd file, OpenAt(journals_->get(), hex, O_PATH | O_NOFOLLOW));
  TRY_ASSIGN(Marks marks, upper_->ReadMarks(FileAt(file.get())));
  if (marks.ino && *marks.ino != ino) return {};
  auto known = lower_->Names({.ino = ino, .type = 0, .node = nullptr});
  if (!known && known.error().code() == ENOENT) return {};
  if (!known) return std::unexpected(std::move(known).error());
  for (const LowerName& name : *known) {
    if (!names.contains({name.parent, name.name})) continue;
    TRY_ASSIGN(InodePtr parent, FindLowerDir(name.parent));
    if (!parent) continue;
    TRY(EnsureUpperDir(parent));
    WriteLock entries(parent->dir->entries);
    TRY_ASSIGN(Found found, Probe(*parent, name.name));
    if (found.upper || found.lower.ino != ino) continue;
    TRY_ASSIGN(SharedFd into, UpperDir(parent));
    KeepTimes keep(into->get());
    TRY(MarkImpure(*parent, into->get()));
    if (linkat(journals_->get(), hex.c_str(), into->get(), name.name.c_str(), 0) != 0) {
      return Errno("finishing the copy-up of " + name.name);
    }
  }
  return {};
}

Result<> Overlay::FinishLinkJournals() {
  TRY_ASSIGN(auto entries, DirStream::Names(journals_->get()));
  int links = journals_->get();
  for (const std::string& entry : entries) {
    if (!entry.ends_with(kJournalSuffix)) continue;
    std::string hex = entry.substr(0, entry.size() - kJournalSuffix.size());
    TRY_ASSIGN(std::string journal, ReadFileAt(links, entry, size_t{1} << 28));
    struct stat st = {};
    bool begun = fstatat(links, hex.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0;
    auto ino = ParseHex(hex);
    auto names = ParseJournal(journal);
    if (begun && ino && names) {
      TRY(FinishLinkJournal(*ino, hex, *names));
    } else if (begun) {
      Log(LogLevel::kWarning, "work/links/{} is no journal, and is removed", entry);
    }
    if (begun && unlinkat(links, hex.c_str(), 0) != 0) return Errno("work/links");
    if (unlinkat(links, entry.c_str(), 0) != 0) return Errno("work/links");
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
