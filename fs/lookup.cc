// Names: what an entry of a directory is, and which inode that makes.
#include <fcntl.h>

#include "fs/log.h"
#include "fs/overlay.h"
#include "store/base/beneath.h"

namespace veneer::fs {

namespace {

constexpr size_t kNameMax = 255;
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
        TRY_ASSIGN(found.marks, upper_->ReadMarks(FdPath(fd->get(), name), XattrPath::kNoFollow));
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
    TRY_ASSIGN(found.lower, lower_->Lookup(dir.lower, name));
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
  std::optional<markers::Metacopy> stub;
  if (found.upper && found.marks.metacopy && S_ISREG(type)) {
    stub = markers::ParseMetacopy(*found.marks.metacopy);
    auto data = stub ? lower_->FromDataMark(*stub) : Fail(EIO, "metacopy marker");
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
    bool linked = !S_ISDIR(type) && HasLink(ino);
    IndexEntry link;
    if (linked) {
      TRY_ASSIGN(link, ReadIndexEntry(ino));
    }
    settled = true;
    inode = inodes_.FindOrMake(ino, [&](NodeId id) {
      fresh = true;
      // A file may get or lose its entry in work/links only while its inode is in the table: not
      // from here on.
      settled = S_ISDIR(type) || HasLink(ino) == linked;
      auto made = std::make_shared<Inode>(inodes_, id, ino, type, lower);
      MutexLock lock(made->mu);
      if (linked) {
        made->indexed = true;
        made->link_delta = link.delta;
        made->upper_ino = link.upper_ino;
        made->data = Data::kUpper;
      } else if (found.upper) {
        made->upper_ino = found.st.st_ino;
        made->data = found.marks.metacopy ? Data::kStub : Data::kUpper;
        // It may have been a stub until just now, forgotten before anybody synced it.
        if (S_ISREG(type) && found.marks.ino && lower_->KnowsNames()) {
          made->mark_removal = Inode::kMarkRemovedBefore;
        }
      }
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
  if (fresh && stub) {
    // The data may have come between the reading of the marker and now; from now on it comes
    // through this inode.
    TRY_ASSIGN(SharedFd fd, OpenUpper(inode, O_PATH));
    TRY_ASSIGN(auto mark,
               upper_->ReadMark(FdPath(fd->get()), XattrPath::kMagicLink, markers::kMetacopy));
    if (!mark) {
      MutexLock lock(inode->mu);
      inode->data = Data::kUpper;
      stub.reset();
    }
  }
  if (fresh && stub && static_cast<uint64_t>(found.st.st_size) != stub->size) {
    // A crash while the stub was being emptied: the marker counts.
    TRY_ASSIGN(SharedFd fd, OpenUpper(inode, O_WRONLY));
    if (ftruncate(fd->get(), static_cast<off_t>(stub->size)) != 0) return Errno("stub");
    timespec times[2] = {found.st.st_atim, found.st.st_mtim};
    (void)futimens(fd->get(), times);
  }
  if (!fresh) inode->AddName(dir, name);
  return inode;
}

Result<InodePtr> Overlay::Child(const InodePtr& dir, const std::string& name, Found* found) {
  TRY_ASSIGN(Found f, Probe(*dir, name));
  if (found != nullptr) *found = f;
  if (!f.exists()) return nullptr;
  return InodeOf(dir, name, f);
}

Result<Entry> Overlay::EntryOf(const InodePtr& inode, const struct stat* hint) {
  TRY_ASSIGN(struct stat st, Attr(inode, hint));
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
  return EntryOf(child, found.upper && !found.marks.metacopy ? &found.st : nullptr);
}

bool Overlay::Forget(NodeId node, uint64_t count) { return inodes_.Forget(node, count); }

}  // namespace veneer::fs
