#include "tests/differential/arguments.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include <algorithm>

#include "tests/differential/worker.h"

namespace veneer::differential {

namespace {

bool Any(const Node&) { return true; }
bool IsReg(const Node& node) { return node.IsReg(); }
bool IsLarge(const Node& node) { return node.IsReg() && node.size >= kLargeSize; }
bool IsDir(const Node& node) { return node.IsDir(); }
bool IsLink(const Node& node) { return node.IsLink(); }
bool NotDir(const Node& node) { return !node.IsDir(); }
bool NotLink(const Node& node) { return !node.IsLink(); }
bool IsEmptyDir(const Node& node) { return node.IsDir() && node.entries.empty(); }

bool Open(const Model::Slot& slot) { return slot.node != nullptr; }
bool OpenReg(const Model::Slot& slot) { return slot.node && slot.node->IsReg(); }
bool OpenDir(const Model::Slot& slot) { return slot.node && slot.node->IsDir(); }
bool Readable(const Model::Slot& slot) {
  return OpenReg(slot) && (slot.flags & O_ACCMODE) != O_WRONLY && (slot.flags & O_PATH) == 0;
}
bool Writable(const Model::Slot& slot) { return OpenReg(slot) && slot.writable(); }
bool Tmp(const Model::Slot& slot) { return OpenReg(slot) && slot.node->links == 0; }

}  // namespace

void Arguments::FillTimes(Op& op) {
  op.off = static_cast<int64_t>(100000000 + random_.Below(1000000000));
  op.off2 = static_cast<int64_t>(random_.Below(1000000000));
  if (random_.Chance(4)) op.off2 = UTIME_NOW;
  if (random_.Chance(2)) op.off2 = UTIME_OMIT;
}

void Arguments::FillLock(Op& op) {
  static constexpr short kTypes[] = {F_RDLCK, F_WRLCK, F_UNLCK};
  op.flags = static_cast<uint32_t>(random_.Pick(kTypes));
  if (op.kind == OpKind::kGetLock && op.flags == F_UNLCK) op.flags = F_WRLCK;
  op.off = static_cast<int64_t>(random_.Below(4) * 100);
  op.len = static_cast<int64_t>(random_.Below(3) * 100);
  op.value = static_cast<uint32_t>(random_.Below(2));
}

std::optional<Op> Arguments::OnSlot(OpKind kind) {
  bool (*filter)(const Model::Slot&) = Open;
  switch (kind) {
    case OpKind::kPread:
    case OpKind::kRead:
    case OpKind::kSeek:
    case OpKind::kCopyRange:
    case OpKind::kMmap:
      filter = Readable;
      break;
    case OpKind::kPwrite:
    case OpKind::kWrite:
    case OpKind::kFtruncate:
    case OpKind::kFallocate:
      filter = Writable;
      break;
    case OpKind::kReaddir:
    case OpKind::kSeekdir:
      filter = OpenDir;
      break;
    default:
      break;
  }
  if (random_.Chance(3)) filter = Open;
  auto chosen = pick_.Slot(filter);
  if (!chosen) return std::nullopt;
  Op op;
  op.kind = kind;
  op.worker = chosen->worker;
  op.slot = chosen->slot;
  const Node& node = *chosen->entry->node;
  // What a directory's position means is its filesystem's own business.
  if ((kind == OpKind::kRead || kind == OpKind::kSeek) && node.IsDir()) return std::nullopt;
  switch (kind) {
    case OpKind::kFchmod:
      op.mode = static_cast<uint32_t>(random_.Below(010000));
      break;
    case OpKind::kFchown:
      op.mode = static_cast<uint32_t>(random_.Below(3) * 1000);
      op.len = static_cast<int64_t>(random_.Below(3) * 1000);
      break;
    case OpKind::kFutimens:
      FillTimes(op);
      break;
    case OpKind::kFtruncate:
      op.len = random_.Chance(20) ? 0 : pick_.Offset(node.size);
      break;
    case OpKind::kFsetXattr:
      op.name = random_.Chance(70) ? "user.a" : "user.c";
      op.value = static_cast<uint32_t>(random_.Below(1000));
      break;
    case OpKind::kPread:
    case OpKind::kRead:
      op.len = random_.Chance(10) ? 200000 : pick_.Length();
      if (kind == OpKind::kPread) op.off = pick_.Offset(node.size);
      break;
    case OpKind::kPwrite:
    case OpKind::kWrite:
      op.len = pick_.Length();
      op.value = static_cast<uint32_t>(random_.Below(1000));
      if (kind == OpKind::kPwrite) op.off = pick_.Offset(node.size);
      if (kind == OpKind::kWrite && node.size > kMaxSize) return std::nullopt;
      break;
    case OpKind::kFallocate: {
      static constexpr uint32_t kModes[] = {0,
                                            FALLOC_FL_KEEP_SIZE,
                                            FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                            FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                            FALLOC_FL_ZERO_RANGE,
                                            FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE};
      op.flags = random_.Pick(kModes);
      if (random_.Chance(3)) op.flags = FALLOC_FL_COLLAPSE_RANGE;
      if (random_.Chance(3)) op.flags = FALLOC_FL_INSERT_RANGE;
      op.off = pick_.Offset(node.size);
      op.len = pick_.Length() + 1;
      break;
    }
    case OpKind::kSeek:
      op.flags = random_.Chance(50) ? SEEK_DATA : SEEK_HOLE;
      op.off = pick_.Offset(node.size);
      break;
    case OpKind::kCopyRange: {
      op.slot2 = static_cast<int>(random_.Below(kSlots));
      for (int i = 0; i < kSlots && !Writable(model_.slot(op.worker, op.slot2)); ++i) {
        op.slot2 = (op.slot2 + 1) % kSlots;
      }
      op.off = pick_.Offset(node.size);
      const NodePtr& to = model_.slot(op.worker, op.slot2).node;
      op.off2 = pick_.Offset(to ? to->size : 0);
      op.len = pick_.Length();
      break;
    }
    case OpKind::kFsync:
      op.flags = static_cast<uint32_t>(random_.Below(2));
      break;
    case OpKind::kFlock: {
      static constexpr uint32_t kOps[] = {LOCK_SH, LOCK_EX, LOCK_UN};
      op.flags = random_.Pick(kOps);
      break;
    }
    case OpKind::kLock:
    case OpKind::kGetLock:
      FillLock(op);
      break;
    case OpKind::kReaddir:
      op.len = static_cast<int64_t>(random_.Chance(50) ? 600 + random_.Below(1000) : 32768);
      break;
    case OpKind::kSeekdir:
      op.off = static_cast<int64_t>(random_.Chance(50) ? 0 : random_.Below(20));
      break;
    case OpKind::kMmap: {
      if (node.size == 0) return std::nullopt;
      op.slot2 = static_cast<int>(random_.Below(kMaps));
      op.flags = PROT_READ;
      if (chosen->entry->writable() && random_.Chance(85)) op.flags |= PROT_WRITE;
      if (random_.Chance(10)) op.flags |= 0x10 | PROT_WRITE;
      op.off = random_.Chance(70) ? 0 : pick_.Offset(node.size) / kPage * kPage;
      op.len = std::max<int64_t>(1, random_.Chance(60) ? node.size - op.off : pick_.Length());
      break;
    }
    default:
      break;
  }
  return op;
}

std::optional<Op> Arguments::OnMap(OpKind kind) {
  int start = static_cast<int>(random_.Below(kWorkers * kMaps));
  for (int i = 0; i < kWorkers * kMaps; ++i) {
    Op op;
    op.kind = kind;
    op.worker = (start + i) % (kWorkers * kMaps) / kMaps;
    op.slot2 = (start + i) % kMaps;
    const Model::Mapping& mapping = model_.mapping(op.worker, op.slot2);
    if (!mapping.node) continue;
    if (kind == OpKind::kMsync) op.flags = random_.Chance(80) ? MS_SYNC : MS_ASYNC;
    if (kind == OpKind::kMsync || kind == OpKind::kMunmap) return op;
    if (kind == OpKind::kMwrite && (mapping.flags & PROT_WRITE) == 0 && random_.Chance(97)) {
      continue;
    }
    // Bytes behind the end of the file, in its last page, belong to nobody: writing them is not
    // compared. Whole pages behind the end raise SIGBUS, now and then.
    int64_t end = std::min(mapping.len, mapping.node->size - mapping.off);
    if (end <= 0 || random_.Chance(2)) {
      int64_t page = (std::max<int64_t>(end, 0) + kPage - 1) / kPage * kPage;
      if (page >= mapping.len) continue;
      op.off = page;
      op.len = 1;
    } else {
      op.off = static_cast<int64_t>(random_.Below(static_cast<uint64_t>(end)));
      op.len = std::min(end - op.off, pick_.Length() + 1);
    }
    op.value = kind == OpKind::kMwrite ? static_cast<uint32_t>(random_.Below(1000)) : 0;
    return op;
  }
  return std::nullopt;
}

// Files whose copy-up takes long are few, and what happens meanwhile is much.
Picker::Filter Arguments::SomeFile(unsigned percent_regular) {
  if (random_.Chance(6)) return IsLarge;
  return random_.Chance(percent_regular) ? IsReg : Any;
}

std::optional<Op> Arguments::MakeOpen(Op op) {
  op.slot = pick_.FreeSlot(op.worker);
  if (random_.Chance(15)) {
    if (!pick_.NewName(op, op.path)) return std::nullopt;
    op.flags = O_CREAT | (random_.Chance(70) ? O_RDWR : O_WRONLY);
    if (random_.Chance(40)) op.flags |= O_EXCL;
    if (random_.Chance(10)) op.flags |= O_APPEND;
    op.mode = static_cast<uint32_t>(random_.Chance(80) ? 0666 : random_.Below(010000));
    return op;
  }
  if (random_.Chance(14)) {
    if (!pick_.Name(op, op.path, IsDir)) return std::nullopt;
    op.flags = O_DIRECTORY | O_RDONLY;
    return op;
  }
  const Node* node = pick_.Name(op, op.path, SomeFile(94));
  if (node == nullptr) return std::nullopt;
  uint64_t dice = random_.Below(100);
  bool may_write = pick_.MayWrite(op.worker, *node) || random_.Chance(15);
  op.flags = dice < 45 || !may_write ? O_RDONLY : dice < 88 ? O_RDWR : O_WRONLY;
  if (op.flags != O_RDONLY && random_.Chance(15)) op.flags |= O_TRUNC;
  if (op.flags != O_RDONLY && random_.Chance(10)) op.flags |= O_APPEND;
  if (random_.Chance(4)) op.flags |= O_CREAT;
  if (random_.Chance(1)) op.flags |= O_EXCL | O_CREAT;
  if (random_.Chance(5)) op.flags |= O_NOFOLLOW;
  if ((op.flags & O_CREAT) != 0) op.mode = 0644;
  return op;
}

std::optional<Op> Arguments::MakeRename(Op op) {
  uint64_t dice = random_.Below(100);
  if (dice < 12) {  // exchange
    op.flags = RENAME_EXCHANGE;
    if (!pick_.Name(op, op.path, Any, true)) return std::nullopt;
    if (op.at >= 0) return std::nullopt;
    return pick_.Name(op, op.path2, Any, true) ? std::optional(op) : std::nullopt;
  }
  Picker::Filter what = dice < 65 ? NotDir : IsDir;
  if (dice >= 62 && dice < 65) what = IsLarge;
  bool replace = random_.Chance(20);
  if (!pick_.Name(op, op.path, what, true)) return std::nullopt;
  if (replace) {
    if (op.at >= 0) return std::nullopt;
    if (!pick_.Name(op, op.path2, what == IsDir ? IsEmptyDir : what, true)) return std::nullopt;
    if (random_.Chance(5)) op.flags = RENAME_NOREPLACE;
  } else {
    if (!pick_.NewName(op, op.path2)) return std::nullopt;
    if (random_.Chance(15)) op.flags = RENAME_NOREPLACE;
  }
  // Into itself is EINVAL; once in a while is enough.
  if (op.path2.starts_with(op.path + "/") && random_.Chance(90)) return std::nullopt;
  return op;
}

std::optional<Op> Arguments::MakeNew(Op op) {
  if (!pick_.NewName(op, op.path)) return std::nullopt;
  static constexpr mode_t kModes[] = {0777, 0755, 02775, 01777, 0700};
  switch (op.kind) {
    case OpKind::kMkdir:
      op.mode = random_.Pick(kModes);
      break;
    case OpKind::kSymlink:
      if (random_.Chance(70)) {
        const auto& names = model_.names();
        if (!names.empty()) op.path2 = *random_.Pick(names).name;
      }
      if (op.path2.empty()) op.path2 = random_.Chance(50) ? ".." : "nowhere/at/all";
      break;
    default: {
      static constexpr mode_t kTypes[] = {S_IFIFO, S_IFIFO, S_IFSOCK, S_IFREG, S_IFCHR, S_IFBLK};
      op.mode = random_.Pick(kTypes) | 0644;
      if (op.worker >= 2 && random_.Chance(90)) op.mode = S_IFIFO | 0666;
      if (S_ISCHR(op.mode)) {
        op.len = random_.Chance(5) ? 0 : static_cast<int64_t>(makedev(1, 3));
      } else if (S_ISBLK(op.mode)) {
        op.len = static_cast<int64_t>(makedev(7, 200));
      }
    }
  }
  return op;
}

std::optional<Op> Arguments::MakeXattr(Op op) {
  static const std::vector<std::string> kUser = {"user.a", "user.b", "user.c", "user.overlay.z"};
  static const std::vector<std::string> kRoot = {"trusted.t", "trusted.overlay.opaque",
                                                 "trusted.overlay.redirect", "security.capability",
                                                 "user.fuseoverlayfs.y"};
  const Node* node = pick_.Name(op, op.path, random_.Chance(95) ? NotLink : Any, true);
  if (node == nullptr) return std::nullopt;
  if (node->IsLink()) op.flags = AT_SYMLINK_NOFOLLOW;
  if (op.kind == OpKind::kListXattr) return op;
  bool reads = op.kind != OpKind::kSetXattr;
  if (reads && !node->xattrs.empty() && random_.Chance(85)) {
    auto it = node->xattrs.begin();
    std::advance(it, static_cast<long>(random_.Below(node->xattrs.size())));
    op.name = *it;
    return op;
  }
  if (reads && random_.Chance(85)) return std::nullopt;
  op.name = random_.Pick(op.worker < 2 && random_.Chance(40) ? kRoot : kUser);
  if (!node->IsReg() && !node->IsDir()) op.name = "trusted.t";
  if (op.name == "security.capability" && !node->IsReg()) op.name = "user.a";
  if (random_.Chance(20)) op.name = "system.posix_acl_access";
  if (node->IsDir() && random_.Chance(20)) op.name = "system.posix_acl_default";
  op.value = static_cast<uint32_t>(random_.Below(1000));
  if (op.kind == OpKind::kSetXattr && !op.name.starts_with("system.") && random_.Chance(10)) {
    op.flags |=
        static_cast<uint32_t>(node->xattrs.contains(op.name) ? XATTR_REPLACE : XATTR_CREATE);
  }
  return op;
}

std::optional<Op> Arguments::OnName(OpKind kind) {
  Op op;
  op.kind = kind;
  uint64_t dice = random_.Below(100);
  op.worker = dice < 40 ? 0 : dice < 60 ? 1 : dice < 80 ? 2 : 3;
  switch (kind) {
    case OpKind::kStat:
    case OpKind::kAccess:
      op.mode = kind == OpKind::kAccess ? static_cast<uint32_t>(random_.Below(8)) : 0;
      op.flags = kind == OpKind::kStat && random_.Chance(60) ? AT_SYMLINK_NOFOLLOW : 0;
      if (random_.Chance(90))
        return pick_.Name(op, op.path, Any) ? std::optional(op) : std::nullopt;
      return pick_.NewName(op, op.path) ? std::optional(op) : std::nullopt;
    case OpKind::kOpen:
      return MakeOpen(op);
    case OpKind::kTmpFile:
      op.slot = pick_.FreeSlot(op.worker);
      op.flags = O_RDWR;
      op.mode = 0644;
      if (!pick_.NewName(op, op.path)) return std::nullopt;
      op.path = op.at >= 0 || !op.path.contains('/') ? "." : op.path.substr(0, op.path.rfind('/'));
      return op;
    case OpKind::kLinkTmp: {
      auto chosen = pick_.Slot(Tmp);
      if (!chosen) return std::nullopt;
      op.worker = chosen->worker;
      op.slot = chosen->slot;
      return pick_.NewName(op, op.path) ? std::optional(op) : std::nullopt;
    }
    case OpKind::kMkdir:
    case OpKind::kSymlink:
    case OpKind::kMknod:
      return MakeNew(op);
    case OpKind::kRmdir:
      return pick_.Name(op, op.path, random_.Chance(90) ? IsEmptyDir : Any, true)
                 ? std::optional(op)
                 : std::nullopt;
    case OpKind::kUnlink:
      return pick_.Name(op, op.path, random_.Chance(97) ? NotDir : Any, true) ? std::optional(op)
                                                                              : std::nullopt;
    case OpKind::kRename:
      return MakeRename(op);
    case OpKind::kLink:
      if (!pick_.Name(op, op.path, random_.Chance(5) ? IsLarge : random_.Chance(96) ? NotDir : Any))
        return std::nullopt;
      if (random_.Chance(10)) op.flags = AT_SYMLINK_FOLLOW;
      return pick_.NewName(op, op.path2) ? std::optional(op) : std::nullopt;
    case OpKind::kReadlink:
      return pick_.Name(op, op.path, random_.Chance(90) ? IsLink : Any) ? std::optional(op)
                                                                        : std::nullopt;
    case OpKind::kChmod:
      op.mode = static_cast<uint32_t>(random_.Chance(70) ? 0666 | random_.Below(010000)
                                                         : random_.Below(010000));
      return pick_.Name(op, op.path, random_.Chance(5) ? IsLarge : NotLink, true)
                 ? std::optional(op)
                 : std::nullopt;
    case OpKind::kChown:
      op.flags = AT_SYMLINK_NOFOLLOW;
      op.mode = static_cast<uint32_t>(random_.Below(3) * 1000);
      op.len = static_cast<int64_t>(random_.Below(3) * 1000);
      if (op.worker >= 2) {
        op.mode = IdentityOf(op.worker).uid;
        op.len = random_.Chance(50) ? IdentityOf(op.worker).gid : IdentityOf(op.worker).other_group;
      }
      if (random_.Chance(10)) op.mode = UINT32_MAX;
      return pick_.Name(op, op.path, Any, true) ? std::optional(op) : std::nullopt;
    case OpKind::kUtimens:
      op.flags = AT_SYMLINK_NOFOLLOW;
      FillTimes(op);
      return pick_.Name(op, op.path, Any, true) ? std::optional(op) : std::nullopt;
    case OpKind::kTruncate: {
      const Node* node = pick_.Name(op, op.path, SomeFile(100), true);
      if (node == nullptr) return std::nullopt;
      op.len = random_.Chance(20) ? 0 : pick_.Offset(node->size);
      return op;
    }
    case OpKind::kReadFile:
      return pick_.Name(op, op.path, SomeFile(100)) ? std::optional(op) : std::nullopt;
    default:
      return MakeXattr(op);
  }
}

std::optional<Op> Arguments::For(OpKind kind) {
  if (kind < OpKind::kClose) return OnName(kind);
  return kind <= OpKind::kMmap ? OnSlot(kind) : OnMap(kind);
}

}  // namespace veneer::differential
