// Op: one step of a differential run, and its text form: one line of a script.
//
//   pwrite w=2 s=3 off=4096 len=100 v=17
//
// Scripts are what the program saves, shrinks and replays, what workers are sent, and what a person
// reads. A field that has its default value is left out. A descriptor is a slot of its worker, so
// an operation on a slot that was never opened is EBADF on both sides, and any subset of a script
// is a script.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace veneer::differential {

enum class OpKind : uint8_t {
  // On names.
  kStat,
  kAccess,
  kOpen,
  kTmpFile,
  kLinkTmp,
  kMkdir,
  kRmdir,
  kUnlink,
  kRename,
  kLink,
  kSymlink,
  kReadlink,
  kMknod,
  kChmod,
  kChown,
  kUtimens,
  kTruncate,
  kSetXattr,
  kGetXattr,
  kListXattr,
  kRemoveXattr,
  kReadFile,
  // On descriptors.
  kClose,
  kFstat,
  kFchmod,
  kFchown,
  kFutimens,
  kFtruncate,
  kFsetXattr,
  kPread,
  kPwrite,
  kRead,
  kWrite,
  kFallocate,
  kSeek,
  kCopyRange,
  kFsync,
  kAdvise,
  kFlock,
  kLock,
  kGetLock,
  kReaddir,
  kSeekdir,
  // On mappings.
  kMmap,
  kMread,
  kMwrite,
  kMsync,
  kMunmap,
  // Of the run itself; no worker's.
  kCheck,
  kDrop,
  kRemount,
  kCount,
};
inline constexpr size_t kOpKinds = static_cast<size_t>(OpKind::kCount);

// Flags of kCheck.
inline constexpr uint32_t kCheckAll = 0;
inline constexpr uint32_t kCheckTouched = 1;  // only what operations were on
// Flags of kDrop.
inline constexpr uint32_t kDropHost = 0;   // all of the host's caches
inline constexpr uint32_t kDropMount = 1;  // the mount's alone

inline constexpr size_t kSides = 2;
inline constexpr size_t kPlain = 0;
inline constexpr size_t kMount = 1;
inline constexpr int kWorkers = 4;  // 0, 1: root; 2, 3: users
inline constexpr int kSlots = 8;    // descriptors of one worker
inline constexpr int kMaps = 4;     // mappings of one worker

struct Op {
  OpKind kind = OpKind::kCheck;
  int worker = 0;
  int at = -1;         // at: slot of the directory `path` begins at; none: the root
  int slot = -1;       // s
  int slot2 = -1;      // s2: copyrange's target; the mapping for mmap
  std::string path;    // path
  std::string path2;   // to: rename's and link's; target: symlink's
  std::string name;    // name: xattr
  int64_t off = 0;     // off; times: seconds of the modification time
  int64_t off2 = 0;    // off2; times: nanoseconds of it
  int64_t len = 0;     // len; chown: the group
  uint32_t flags = 0;  // flags
  uint32_t mode = 0;   // mode; mknod: with the type; chown: the owner; access: the mask
  uint32_t value = 0;  // v: which bytes are written

  bool operator==(const Op&) const = default;
};

std::string_view OpName(OpKind kind);
std::string ToText(const Op& op);
std::optional<Op> FromText(std::string_view line);  // nothing for what is no operation

using Script = std::vector<Op>;

}  // namespace veneer::differential
