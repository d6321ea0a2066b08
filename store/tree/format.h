// The constants and fixed records of a tree file (docs/tree-format.md), little endian on disk.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "store/base/bytes.h"
#include "store/base/digest.h"
#include "store/tree/types.h"

namespace veneer::tree {

inline constexpr std::string_view kTreeMagic = "VNRTREE\n";
inline constexpr uint32_t kTreeVersion = 1;
inline constexpr size_t kHeaderSize = 256;
inline constexpr size_t kBlockSize = 16384;  // what one checksum covers
inline constexpr size_t kInodeSize = 128;
inline constexpr size_t kDirentSize = 24;
inline constexpr size_t kLinkSize = 24;
inline constexpr size_t kNameMax = 255;
inline constexpr uint32_t kDefaultDirMode = 040755;  // of a directory no entry described

enum class TreeKind : uint32_t { kLayer = 1, kBase = 2, kDelta = 3 };

struct Section {
  uint64_t offset = 0;
  uint64_t size = 0;
};

struct TreeHeader {
  TreeKind kind = TreeKind::kLayer;
  ChainId chain;            // base and delta: whose tree this is
  ChainId parent;           // delta: the chain whose tree it changes
  uint64_t ino_offset = 0;  // delta: what was added to the layer's own numbers
  uint64_t ino_limit = 0;   // every inode number of the tree is below it
  uint64_t first_ino = 0;   // of the records in this file
  uint64_t last_ino = 0;
  uint64_t name_count = 0;
  Section inodes, dirents, links, blob, checksums;

  // Writes the header but for its checksum, which the caller stores at kHeaderCrcOffset.
  void Encode(char (&out)[kHeaderSize]) const;
  static TreeHeader Decode(const char* p);
};
inline constexpr size_t kHeaderVersionOffset = 8;
inline constexpr size_t kHeaderBlockSizeOffset = 200;
inline constexpr size_t kHeaderCrcOffset = 252;

// One inode. What `payload` holds depends on the type: a directory's first directory entry and
// their count; the offset and length of a symlink's target or an external link's path in the blob;
// the digest of a regular file's object.
struct InodeRecord {
  uint64_t ino = 0;
  uint32_t mode = 0;
  uint32_t uid = 0;
  uint32_t gid = 0;
  uint32_t nlink = 0;
  uint64_t size = 0;
  int64_t mtime_sec = 0;
  uint32_t mtime_nsec = 0;
  uint32_t flags = 0;
  uint32_t rdev_major = 0;
  uint32_t rdev_minor = 0;
  uint64_t parent = 0;
  std::array<uint8_t, 32> payload{};
  uint64_t xattr_offset = 0;
  uint32_t xattr_size = 0;
  uint32_t name_size = 0;  // 0: the root, or an inode with several names
  uint64_t name = 0;  // offset of the only name in the blob; of several: index of the first link
  uint64_t reserved = 0;

  bool IsDir() const { return (mode & 0170000) == 0040000 && !(flags & kExternalLink); }
  bool IsRegular() const { return (mode & 0170000) == 0100000 && !(flags & kExternalLink); }
  bool HasTarget() const { return (mode & 0170000) == 0120000 || (flags & kExternalLink); }
  uint64_t first() const { return LoadLE<uint64_t>(payload.data()); }
  uint64_t count() const { return LoadLE<uint64_t>(payload.data() + 8); }
  void SetRange(uint64_t first, uint64_t count) {
    payload = {};
    StoreLE(payload.data(), first);
    StoreLE(payload.data() + 8, count);
  }

  void Encode(char* out) const;              // kInodeSize bytes
  static InodeRecord Decode(const char* p);  // kInodeSize bytes
  static InodeRecord DefaultDir(Ino ino);    // of a directory no entry described
  Attributes attributes() const;
  void SetAttributes(const Attributes& attr);
};
static_assert(sizeof(InodeRecord) == kInodeSize);

// The DT_ type of an st_mode.
inline uint8_t TypeOfMode(uint32_t mode) { return static_cast<uint8_t>((mode & 0170000) >> 12); }

// An xattr list in the blob: for each, u32 name size, u32 value size, name, value; sorted by name.
std::string EncodeXattrs(const std::vector<Xattr>& xattrs);

}  // namespace veneer::tree
