// Directory listings: the upper's entries and those of the lower that show through, as one snapshot
// per handle, so that positions stay valid while names come and go.
#include <dirent.h>
#include <fcntl.h>

#include <unordered_set>

#include "fs/dir_stream.h"
#include "fs/overlay.h"
#include "store/base/beneath.h"

namespace veneer::fs {

Result<std::vector<DirItem>> Overlay::List(const InodePtr& dir) {
  std::vector<DirItem> items;
  uint64_t parent_ino = dir->ino;
  {
    MutexLock lock(dir->mu);
    if (!dir->names.empty()) parent_ino = dir->names.front().parent->ino;
  }
  items.push_back({".", dir->ino, DT_DIR});
  items.push_back({"..", parent_ino, DT_DIR});
  ReadLock entries(dir->dir->entries);
  {
    MutexLock lock(dir->mu);
    if (dir->dead) return items;
  }
  std::unordered_set<std::string> seen;
  if (dir->has_upper()) {
    TRY_ASSIGN(SharedFd fd, UpperDir(dir));
    TRY_ASSIGN(DirStream stream, DirStream::Open(fd->get()));
    for (;;) {
      TRY_ASSIGN(const struct dirent* entry, stream.Next());
      if (entry == nullptr) break;
      std::string name = entry->d_name;
      if (dir->lower) seen.insert(name);
      // Only these may be whiteouts, or show another number than their own.
      bool plain = !dir->dir->impure && entry->d_type != DT_UNKNOWN && entry->d_type != DT_CHR &&
                   !(entry->d_type == DT_DIR && dir->lower) &&
                   !(entry->d_type == DT_REG &&
                     (upper_->file_whiteouts() || upper_->stat_override().active()));
      Found found;
      if (plain) {
        found.upper = true;
        found.st.st_ino = entry->d_ino;
        items.push_back({std::move(name), InoOf(found), entry->d_type});
        continue;
      }
      TRY_ASSIGN(found, Probe(*dir, name));
      if (!found.upper) continue;
      uint8_t type = IFTODT(found.st.st_mode);
      items.push_back({std::move(name), InoOf(found), type});
    }
  }
  if (dir->lower) {
    TRY(lower_->ForEach(dir->lower, [&](std::string_view name, uint64_t ino, uint8_t type) {
      std::string text(name);
      if (!seen.contains(text)) items.push_back({std::move(text), ino, type});
      return true;
    }));
  }
  return items;
}

Result<HandleId> Overlay::OpenDir(NodeId node) {
  TRY_ASSIGN(InodePtr inode, inodes_.Find(node));
  if (!inode->IsDir()) return Fail(ENOTDIR, "opendir");
  auto handle = std::make_shared<Handle>();
  handle->inode = std::move(inode);
  return handles_.Add(std::move(handle));
}

Result<> Overlay::ReadDir(HandleId id, uint64_t offset, const VisitDir& visit) {
  TRY_ASSIGN(HandlePtr handle, handles_.Find(id));
  if (!handle->inode->IsDir()) return Fail(ENOTDIR, "readdir");
  MutexLock lock(handle->mu);
  if (offset == 0 || !handle->listed) {
    TRY_ASSIGN(handle->items, List(handle->inode));
    handle->listed = true;
  }
  for (uint64_t i = offset; i < handle->items.size(); ++i) {
    if (!visit(handle->items[i], i + 1)) break;
  }
  return {};
}

Result<> Overlay::FsyncDir(HandleId id) {
  TRY_ASSIGN(HandlePtr handle, handles_.Find(id));
  if (!upper_ || !handle->inode->has_upper()) return {};
  {
    MutexLock lock(handle->inode->mu);
    if (handle->inode->dead) return {};
  }
  TRY_ASSIGN(SharedFd fd, UpperDir(handle->inode));
  return upper_->SyncDir(fd->get());
}

}  // namespace veneer::fs
