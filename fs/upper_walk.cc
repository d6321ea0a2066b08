// Going through all of the upper: to find directories that moved, and to give files that are only
// attributes there their data.
#include <fcntl.h>
#include <sys/stat.h>

#include "fs/dir_stream.h"
#include "fs/overlay.h"
#include "store/base/beneath.h"

namespace veneer::fs {

Result<> Overlay::Complete() {
  if (!upper_) return {};
  TRY(WalkUpper(Walk::kEverything, [&](const InodePtr& inode, const Found&) -> Result<> {
    {
      MutexLock lock(inode->mu);
      if (inode->data != Data::kStub) return {};
    }
    TRY_ASSIGN(Passage passage, gate_.Enter());
    return EnsureUpper(inode, Need::kData);
  }));
  return SettleAll();  // large files are on their way
}

// Directories that are renamed meanwhile may be met twice, or not at all.
Result<> Overlay::WalkUpper(Walk what, const VisitUpper& visit) {
  // What is removed meanwhile holds nothing any more.
  auto gone = [](const auto& result) {
    return !result && (result.error().code() == ENOENT || result.error().code() == ESTALE);
  };
  std::vector<InodePtr> pending = {root_};
  while (!pending.empty()) {
    InodePtr dir = std::move(pending.back());
    pending.pop_back();
    auto fd = UpperDir(dir);
    auto names = fd ? DirStream::Names((*fd)->get(), what == Walk::kDirectories)
                    : std::unexpected(fd.error());
    if (gone(names)) continue;
    if (!names) return std::unexpected(std::move(names).error());
    for (const std::string& name : *names) {
      Found found;
      InodePtr inode;
      {
        ReadLock entries(dir->dir->entries);
        auto child = Child(dir, name, &found);
        if (gone(child)) continue;
        if (!child) return std::unexpected(std::move(child).error());
        inode = std::move(*child);
      }
      if (!inode || !found.upper || (what == Walk::kDirectories && !inode->IsDir())) continue;
      if (auto visited = visit(inode, found); !visited && !gone(visited)) return visited;
      if (inode->IsDir()) pending.push_back(std::move(inode));
    }
  }
  return {};
}

}  // namespace veneer::fs
