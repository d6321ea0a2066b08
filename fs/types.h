// The values that cross the engine's interface.
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace veneer::fs {

// An inode as the kernel knows it: given out by a lookup, valid until forgotten, never used for
// another file in the life of a mount. Not the inode number that stat shows.
enum class NodeId : uint64_t { kRoot = 1 };

// An open file or directory.
enum class HandleId : uint64_t {};

// The names of the attributes that hold ACLs.
inline constexpr std::string_view kAclPrefix = "system.posix_acl_";

// Who asks. New files belong to `uid` and `gid` and are subject to `umask` (unless the directory
// has a default ACL).
struct Caller {
  uid_t uid = 0;
  gid_t gid = 0;
  mode_t umask = 0;
};

// Given where setuid and setgid are to be cleared, because the caller lacks CAP_FSETID or owners
// change. Says whether the caller is in a group (as shown): setgid of a file that its group may not
// execute stays then.
using KillSuid = std::function<bool(gid_t group)>;

// What a lookup gives: the node, with one more reference the caller must Forget(), and its
// attributes.
struct Entry {
  NodeId node = {};
  struct stat attr = {};
};

// What SetAttr() changes; absent members stay.
struct AttrChange {
  std::optional<mode_t> mode;  // permission bits
  std::optional<uid_t> uid;
  std::optional<gid_t> gid;
  std::optional<uint64_t> size;
  std::optional<timespec> atime;  // tv_nsec may be UTIME_NOW
  std::optional<timespec> mtime;
  KillSuid kill_suidgid;
  // Set beside it where this may be a write by somebody with CAP_FSETID, who clears nothing but a
  // file's capabilities: the removal of these comes just before.
  bool may_keep_suid = false;
};

// One name of a directory listing.
struct DirItem {
  std::string name;
  uint64_t ino = 0;
  uint8_t type = 0;  // DT_*
};

}  // namespace veneer::fs
