// Directory listings: the upper's entries and those of the lower that show through.
#include <dirent.h>
#include <fcntl.h>

#include <algorithm>
#include <iterator>
#include <optional>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <utility>

#include "fs/dir_stream.h"
#include "fs/overlay.h"
#include "store/base/beneath.h"

namespace veneer::fs {

namespace {

constexpr size_t kMostKept = 4096;  // items of a listing that was read to its end

}  // namespace

// The upper's entry `entry` of `dir`; nullopt where it does not show.
Result<std::optional<DirItem>> Overlay::UpperItem(Inode& dir, const struct dirent& entry) {
  std::string name = entry.d_name;
  // Only these may be whiteouts, or show another number than their own.
  bool plain =
      !dir.dir->impure && entry.d_type != DT_UNKNOWN && entry.d_type != DT_CHR &&
      !(entry.d_type == DT_DIR && dir.lower) &&
      !(entry.d_type == DT_REG && (upper_->file_whiteouts() || upper_->stat_override().active()));
  Found found;
  if (plain) {
    found.st.st_ino = entry.d_ino;
    found.upper = true;
    return DirItem{std::move(name), InoOf(found), entry.d_type};
  }
  TRY_ASSIGN(found, Probe(dir, name));
  if (!found.upper) return std::nullopt;
  uint8_t type = IFTODT(found.st.st_mode);
  return DirItem{std::move(name), InoOf(found), type};
}

// Puts the upper's entries into `items`, which are the lower's, by place.
Result<> Overlay::MergeUpper(const InodePtr& dir, std::vector<Listing::Item>& items) {
  TRY_ASSIGN(SharedFd fd, UpperDir(dir));
  TRY_ASSIGN(DirStream stream, DirStream::Open(fd->get()));
  std::unordered_map<std::string_view, size_t> places;  // of the lower's names, which hold still
  std::vector<bool> hidden;
  std::vector<Listing::Item> added;
  for (;;) {
    TRY_ASSIGN(const struct dirent* entry, stream.Next());
    if (entry == nullptr) break;
    if (dir->lower && hidden.empty()) {
      hidden.resize(items.size());
      for (size_t i = 0; i < items.size(); ++i) places.emplace(items[i].entry.name, i);
    }
    auto place = places.find(entry->d_name);
    TRY_ASSIGN(auto item, UpperItem(*dir, *entry));
    if (place != places.end()) {
      hidden[place->second] = !item;
      if (!item) continue;
      items[place->second].entry.ino = item->ino;
      items[place->second].entry.type = item->type;
    } else if (item) {
      uint64_t at = position::PlaceInUpper(item->name, seed_);
      added.push_back({at, std::move(*item)});
    }
  }
  places.clear();
  if (!hidden.empty()) {
    size_t kept = 0;
    for (size_t i = 0; i < hidden.size(); ++i) {
      if (hidden[i]) continue;
      if (kept != i) items[kept] = std::move(items[i]);
      ++kept;
    }
    items.resize(kept);
  }
  std::sort(added.begin(), added.end(), [](const Listing::Item& a, const Listing::Item& b) {
    return std::tie(a.place, a.entry.name) < std::tie(b.place, b.entry.name);
  });
  uint64_t last = 0;
  for (Listing::Item& item : added) {
    last = item.place = std::max(item.place, last + 1);
    items.push_back(std::move(item));
  }
  return {};
}

Result<ListingPtr> Overlay::List(const InodePtr& dir) {
  auto listing = std::make_shared<Listing>();
  listing->changes = dir->dir->changes;  // before what may change, so that it is rather too old
  uint64_t parent_ino = dir->ino;
  {
    MutexLock lock(dir->mu);
    if (!dir->names.empty()) parent_ino = dir->names.front().parent->ino;
  }
  std::vector<Listing::Item> items;
  ReadLock entries(dir->dir->entries);
  bool dead;
  {
    MutexLock lock(dir->mu);
    dead = dir->dead;
  }
  if (!dead && dir->lower) {
    uint64_t next = position::kFirstOfLower;
    TRY(lower_->ForEach(dir->lower, [&](std::string_view name, uint64_t ino, uint8_t type) {
      items.push_back({next++, {std::string(name), ino, type}});
      return true;
    }));
  }
  if (!dead && dir->has_upper()) TRY(MergeUpper(dir, items));
  listing->items.reserve(items.size() + 2);
  listing->items.push_back({position::kDot, {".", dir->ino, DT_DIR}});
  listing->items.push_back({position::kDotDot, {"..", parent_ino, DT_DIR}});
  std::move(items.begin(), items.end(), std::back_inserter(listing->items));
  return listing;
}

Result<bool> Overlay::ReadDir(NodeId node, uint64_t offset, const VisitDir& visit) {
  TRY_ASSIGN(InodePtr dir, inodes_.Find(node));
  if (!dir->IsDir()) return Fail(ENOTDIR, "readdir");
  ListingPtr listing = listings_.Get(node);
  // Who goes on began with this listing, or with one before it; who begins must see what is there.
  if (!listing || (offset == 0 && listing->changes != dir->dir->changes)) {
    TRY_ASSIGN(listing, List(dir));
    listings_.Put(node, listing);
  }
  auto it = listing->Behind(offset);
  // The kernel has it all now, and most likely asks no more.
  const bool at_end = it == listing->items.end();
  if (at_end && listing->items.size() > kMostKept) listings_.Drop(node);
  for (; it != listing->items.end(); ++it) {
    if (!visit(it->entry, listing->PositionOf(*it))) break;
  }
  // What the kernel keeps would be of two listings.
  if (listing->IsOlder(offset)) return true;
  return at_end && listing->EndsWithAPage();
}

Result<> Overlay::FsyncDir(NodeId node) {
  TRY_ASSIGN(InodePtr dir, inodes_.Find(node));
  if (!dir->IsDir()) return Fail(ENOTDIR, "fsync");
  if (!upper_ || !dir->has_upper()) return {};
  {
    MutexLock lock(dir->mu);
    if (dir->dead) return {};
  }
  TRY_ASSIGN(SharedFd fd, UpperDir(dir));
  return upper_->SyncDir(fd->get());
}

}  // namespace veneer::fs
