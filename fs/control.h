// The control channel of a mounted filesystem: ioctls on a descriptor of the mount's root.
//
// For veneerfs and for whoever manages its mounts. Only Linux headers here: it is an interface, not
// part of the engine. Structures are versioned by their size, which the request number holds: an
// unknown request is ENOTTY. Every request works for the owner of the mount and for root only
// (EPERM). docs/filesystem.md "Control".
#pragma once

#include <linux/ioctl.h>
#include <linux/types.h>

namespace veneer::fs::control {

inline constexpr __u32 kVersion = 1;
inline constexpr unsigned kType = 0xf5;

struct Identify {
  __u32 version;    // kVersion of the daemon
  __u32 pid;        // of the daemon
  __u32 read_only;  // 1: there is no upper
  __u32 reserved;
  char program[32];  // "veneerfs 0.1.0"
  char lower[96];    // "chain <hex>" or "stack"
  char upper[1024];  // path as given, cut to fit; empty when read-only
};

struct Stats {
  __u64 uptime_ms;
  __u64 inodes;   // known to the engine now
  __u64 handles;  // open now
  __u64 lookups;
  __u64 copy_ups;  // files and directories brought to the upper
  __u64 stubs;     // of these, metadata only
  __u64 bytes_copied;
  __u64 whiteouts;
  __u64 passthrough;      // handles opened in passthrough mode
  __u64 rings;            // queues of FUSE-over-io_uring that have been used; 0: /dev/fuse alone
  __u64 mode_violations;  // of the open modes' invariant; not 0: a fault of the daemon
  __u64 copying;          // files now, whose data comes after the write that brought them up
  __u64 reserved[4];
};

struct Freeze {
  __u32 timeout_ms;  // thaws by itself after this long; 0 and above 3,600,000: 3,600,000
  __u32 reserved;
};

// Makes durable what has been written, through any descriptor or mapping, before the call. EAGAIN:
// too many ask for that at once.
inline constexpr unsigned long kSync = _IO(kType, 1);
// Waits for changes under way, then makes new ones wait until Thaw, the timeout, or the end of the
// process that asked (where the daemon can see it: not from a PID namespace beside its own). Data
// written through passthrough handles and mappings is not held up. EBUSY: frozen already.
// ECANCELED: thawed before all changes under way were done, or the daemon is ending. ETIMEDOUT:
// they took that long.
inline constexpr unsigned long kFreeze = _IOW(kType, 2, Freeze);
inline constexpr unsigned long kThaw = _IO(kType, 3);  // EINVAL: not frozen
inline constexpr unsigned long kStats = _IOR(kType, 4, Stats);
inline constexpr unsigned long kIdentify = _IOR(kType, 5, Identify);

// Brings the data of metadata-only files to the upper. Takes as long as copying them does.
inline constexpr unsigned long kComplete = _IO(kType, 6);

}  // namespace veneer::fs::control
