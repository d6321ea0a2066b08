// The values that layer trees and merged trees are made of. Views point into a mapping and live as
// long as its tree.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "store/base/digest.h"

namespace veneer::tree {

// Inode number inside one tree. 0 is "none"; the root directory of every tree is 1.
using Ino = uint64_t;
inline constexpr Ino kNoIno = 0;
inline constexpr Ino kRootIno = 1;

enum InodeFlags : uint32_t {
  kOpaque = 1u << 0,  // layer tree: nothing of the layers below shows through this directory
  kPlaceholder =
      1u << 1,  // layer tree: a directory no entry described (only names below it were given); its
                // attributes count only where no lower layer has that directory
  kExternalLink =
      1u
      << 2,  // layer tree: no inode, but a hard link to `link_target`, a path of the layers below
  kPartial =
      1u << 3,  // chain delta: the directory's entries are changes on the base's, not all of them
};

struct Attributes {
  uint32_t mode = 0;  // st_mode: type and permission bits
  uint32_t uid = 0;
  uint32_t gid = 0;
  uint64_t size = 0;  // regular: bytes; symlink: length of the target; else 0
  int64_t mtime_sec = 0;
  uint32_t mtime_nsec = 0;
  uint32_t rdev_major = 0;
  uint32_t rdev_minor = 0;
};

struct Xattr {
  std::string name;  // with its namespace: "user.x", "security.capability"
  std::string value;
};

struct Inode {
  Ino ino = kNoIno;
  Attributes attr;
  uint32_t nlink = 0;   // directories: 2 + subdirectories
  uint32_t flags = 0;   // InodeFlags
  ObjectId object;      // regular files of size > 0; the empty file has no object
  Ino parent = kNoIno;  // the directory of the (first) name; the root's is itself
};

// One name in a directory. A whiteout (layer trees and deltas only) has ino kNoIno.
struct DirEntry {
  std::string_view name;
  Ino ino = kNoIno;
  uint8_t type = 0;  // DT_*; DT_WHT for a whiteout
};

// One name of an inode.
struct NameOf {
  Ino parent = kNoIno;
  std::string name;
};

}  // namespace veneer::tree
