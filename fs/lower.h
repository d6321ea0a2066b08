// Lower: the read-only part of a mount, behind one small interface with two implementations:
// TreeLower (a store chain: merged tree and objects) and DirStackLower (plain directories).
//
// A Lower never changes while it is mounted and is never written to: every descriptor it gives out
// is O_RDONLY. All functions are thread-safe. Names of extended attributes are users' names:
// markers are hidden and escapes undone.
#pragma once

#include <sys/stat.h>
#include <sys/statvfs.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "store/base/result.h"
#include "store/base/unique_fd.h"

namespace veneer::fs {

class StackNode;  // where a directory stack keeps a file (stack_node.h)

// One file or directory of a lower; a value. Default: none.
struct LowerRef {
  uint64_t ino = 0;  // the inode number to show; unique in the lower and constant over mounts
  mode_t type = 0;   // S_IFMT bits
  std::shared_ptr<const StackNode> node;

  explicit operator bool() const { return ino != 0; }
  bool IsDir() const { return S_ISDIR(type); }
};

// What a stub, a file of the upper with the lower's data, carries so that its data is found again.
struct DataMark {
  std::string metacopy;                 // the marker's value
  std::optional<std::string> redirect;  // and of the marker beside it, if there is one
};

// A lower file as its origin (fs/origin.h) leads to it.
struct OriginFile {
  uint64_t ino = 0;  // as LowerRef::ino
  nlink_t nlink = 0;
};

// One name of a lower inode.
struct LowerName {
  uint64_t parent = 0;
  std::string name;
};

class Lower {
 public:
  virtual ~Lower() = default;

  virtual Result<LowerRef> Root() = 0;
  // The entry `name` of directory `dir`; none where there is none, or a whiteout hides it.
  // REQUIRES: dir.IsDir().
  virtual Result<LowerRef> Lookup(const LowerRef& dir, std::string_view name) = 0;
  // The same; where what Attr() says of the entry is known on the way, `attr` has it.
  virtual Result<LowerRef> LookupWithAttr(const LowerRef& dir, std::string_view name,
                                          std::optional<struct stat>& /*attr*/) {
    return Lookup(dir, name);
  }
  // `path` from the root, without following symlinks; none where there is none.
  Result<LowerRef> LookupPath(std::string_view path);
  Result<LowerRef> LookupPathFrom(LowerRef dir, std::string_view path);  // from `dir`
  // st_ino is the shown number; st_dev is meaningless. A directory merged from several has
  // st_nlink 1.
  virtual Result<struct stat> Attr(const LowerRef& ref) = 0;
  // nullopt: not known.
  virtual Result<std::optional<timespec>> BirthTime(const LowerRef&) { return std::nullopt; }
  // Every name of `dir` once, "." and ".." not among them. `visit` returns false to stop.
  using Visit = std::function<bool(std::string_view name, uint64_t ino, uint8_t type)>;
  virtual Result<> ForEach(const LowerRef& dir, const Visit& visit) = 0;
  virtual Result<std::string> LinkTarget(const LowerRef& ref) = 0;
  virtual Result<std::vector<std::string>> XattrNames(const LowerRef& ref) = 0;
  // ENODATA where there is no such attribute.
  virtual Result<std::string> Xattr(const LowerRef& ref, const std::string& name) = 0;
  // The data of a regular file, opened O_RDONLY.
  virtual Result<UniqueFd> Open(const LowerRef& ref) = 0;

  // Metadata-only copy-up: what a stub of `ref` must carry; nullopt where there is no data.
  virtual Result<std::optional<DataMark>> MarkOf(const LowerRef& ref) = 0;
  // The file whose data a stub with `mark` has, which is called `name` in a directory that merges
  // with `dir` (none: with nothing). EIO where it is not (or no longer) in this lower.
  virtual Result<LowerRef> FromMark(const DataMark& mark, const LowerRef& dir,
                                    std::string_view name) = 0;

  // The file's name in the kernel overlayfs' form (fs/origin.h); nullopt where there is none.
  virtual std::optional<std::string> Origin(const LowerRef&) { return std::nullopt; }
  // nullopt where the file is not (or no longer) on this lower's filesystems.
  virtual std::optional<OriginFile> FromOrigin(std::string_view) { return std::nullopt; }

  // True where inodes know all their names, so that Names() and Directory() work.
  virtual bool KnowsNames() const { return false; }
  virtual Result<std::vector<LowerName>> Names(const LowerRef&) { return {}; }
  // The parent of directory number `ino`, and its name there. REQUIRES: not the root.
  virtual Result<LowerName> NameOfDir(uint64_t) { return Fail(ENOSYS, "lower directory"); }

  // "stack", or "chain <hex ChainID or none>": what an upper over this lower is marked as.
  virtual std::string Identity() const = 0;
  virtual Result<struct statvfs> StatFs() = 0;
};

}  // namespace veneer::fs
