// Listings of a directory stack, and the indexes of its names that are made of them.
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <new>
#include <optional>
#include <string>

#include "fs/dir_stack_lower.h"
#include "fs/dir_stream.h"
#include "fs/stack_markers.h"
#include "fs/stack_node.h"
#include "store/markers.h"

namespace veneer::fs {

std::shared_ptr<const NameIndex> DirStackLower::IndexOf(const StackNode& node) {
  if (node.indexes == nullptr) return nullptr;
  if (auto index = indexes_.Get(node.index_key())) return index;
  uint32_t probes = node.probes.load(std::memory_order_relaxed);
  if (probes < node.enough_probes.load(std::memory_order_relaxed)) return nullptr;
  if (node.indexing.exchange(true, std::memory_order_acquire)) return nullptr;
  std::shared_ptr<const NameIndex> made;
  uint32_t enough = StackNode::kNever;
  auto price = PriceOfIndex(node);
  if (price && *price > probes) {
    enough = *price;
  } else if (price && (made = TryIndex(node))) {
    enough = *price;  // once it is evicted, it has to be earned again
    node.probes.store(0, std::memory_order_relaxed);
  }
  node.enough_probes.store(enough, std::memory_order_relaxed);
  node.indexing.store(false, std::memory_order_release);
  return made;
}

// Null where it cannot be made, or kept: lookups go on without, whatever the reason.
std::shared_ptr<const NameIndex> DirStackLower::TryIndex(const StackNode& node) {
  try {
    auto index = MakeIndex(node);
    if (index && indexes_.Put(node.index_key(), *index)) return *index;
    return nullptr;
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

// A directory's size says how many names it may have. Reading a name costs a small part of a
// call that looks for one.
Result<uint32_t> DirStackLower::PriceOfIndex(const StackNode& node) {
  constexpr off_t kEmpty = 4096;
  constexpr off_t kBytesForACall = 128;
  constexpr off_t kCallsToList = 6;
  off_t price = 0;
  for (size_t i = 0; i < node.parts.size(); ++i) {
    TRY_ASSIGN(SharedFd fd, DirFd(node, i));
    struct stat st = {};
    if (fstat(fd->get(), &st) != 0) return Errno("stat");
    price += kCallsToList + std::max<off_t>(0, st.st_size - kEmpty) / kBytesForACall;
  }
  return static_cast<uint32_t>(std::min<off_t>(price, StackNode::kNever - 1));
}

Result<std::shared_ptr<const NameIndex>> DirStackLower::MakeIndex(const StackNode& node) {
  NameIndex::Builder builder;
  for (size_t i = 0; i < node.parts.size(); ++i) {
    builder.NextPart();
    TRY(ListPart(node, i, [&](std::string_view name, uint64_t ino, uint8_t type, Listed what) {
      if (what == Listed::kEntry) builder.Add(name, ino, type);
      if (what == Listed::kWhiteout) builder.AddWhiteout(name);
      if (what == Listed::kHidesBelow) builder.HideBelow(name);
      return true;
    }));
  }
  return builder.Build();
}

Result<> DirStackLower::ListPart(const StackNode& node, size_t part, const VisitListed& visit) {
  TRY_ASSIGN(SharedFd fd, DirFd(node, part));
  TRY_ASSIGN(DirStream stream, DirStream::Open(fd->get()));
  const Layer& layer = layers_[node.parts[part].layer];
  // A directory with whiteouts that are regular files says so, as the kernel's overlayfs has it.
  std::optional<bool> file_whiteouts;
  for (;;) {
    TRY_ASSIGN(const struct dirent* entry, stream.Next());
    if (entry == nullptr) return {};
    std::string_view name = entry->d_name;
    uint8_t type = entry->d_type;
    struct stat st = {};
    st.st_ino = entry->d_ino;
    st.st_dev = layer.dev;
    if (name.starts_with(markers::kAufsPrefix)) {
      name.remove_prefix(markers::kAufsPrefix.size());
      if (!visit(name, 0, type, Listed::kHidesBelow)) return {};
      continue;
    }
    if (type == DT_REG && !file_whiteouts) {
      file_whiteouts = StackMarkers(FileAt(fd->get())).Find(markers::kOpaque) == "x";
    }
    bool whiteout = false;
    if (type == DT_CHR || type == DT_UNKNOWN ||
        (type == DT_REG && (*file_whiteouts || layer.stat_override.active()))) {
      std::string text(name);
      if (fstatat(fd->get(), text.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0) {
        whiteout = IsStackWhiteout(fd->get(), text, st);
        layer.stat_override.Apply(FileAt(fd->get(), text), st);
        type = IFTODT(st.st_mode);
      } else if (errno == ENOENT) {
        continue;
      }  // else whoever looks it up gets the error
    }
    Listed what = whiteout ? Listed::kWhiteout : Listed::kEntry;
    if (!visit(name, InoOf(layer, st), type, what)) return {};
  }
}

// The order is that of the layers' own listings, the topmost first: the same each time.
Result<> DirStackLower::ForEach(const LowerRef& dir, const Visit& visit) {
  const StackNode& node = *dir.node;
  if (node.parts.empty()) return {};
  auto index = indexes_.Get(node.index_key());
  if (!index && node.parts.size() == 1) {
    return ListPart(node, 0, [&](std::string_view name, uint64_t ino, uint8_t type, Listed what) {
      return what != Listed::kEntry || visit(name, ino, type);
    });
  }
  if (!index) {
    TRY_ASSIGN(index, MakeIndex(node));
    if (node.indexes != nullptr) indexes_.Put(node.index_key(), index);
  }
  index->ForEach([&](std::string_view name, const NameIndex::Place& place) {
    return visit(name, place.ino, place.type);
  });
  return {};
}

}  // namespace veneer::fs
