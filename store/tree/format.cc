#include "store/tree/format.h"

#include <algorithm>
#include <bit>

namespace veneer::tree {

namespace {

// Records are kept in the order of their fields on disk, so that a little-endian machine copies
// them as they are.
InodeRecord SwapOnBigEndian(InodeRecord r) {
  if constexpr (std::endian::native == std::endian::big) {
    auto swap = [](auto& v) { v = std::byteswap(v); };
    swap(r.ino), swap(r.mode), swap(r.uid), swap(r.gid), swap(r.nlink), swap(r.size);
    swap(r.mtime_sec), swap(r.mtime_nsec), swap(r.flags), swap(r.rdev_major), swap(r.rdev_minor);
    swap(r.parent), swap(r.xattr_offset), swap(r.xattr_size), swap(r.name_size), swap(r.name);
  }
  return r;
}

}  // namespace

void TreeHeader::Encode(char (&out)[kHeaderSize]) const {
  std::fill(std::begin(out), std::end(out), '\0');
  std::copy(kTreeMagic.begin(), kTreeMagic.end(), out);
  StoreLE(out + kHeaderVersionOffset, kTreeVersion);
  StoreLE(out + 12, static_cast<uint32_t>(kind));
  std::ranges::copy(chain.digest.view(), out + 16);
  std::ranges::copy(parent.digest.view(), out + 48);
  char* p = out + 80;
  for (uint64_t v : {ino_offset, ino_limit, first_ino, last_ino, name_count, inodes.offset,
                     inodes.size, dirents.offset, dirents.size, links.offset, links.size,
                     blob.offset, blob.size, checksums.offset, checksums.size}) {
    StoreLE(p, v);
    p += sizeof v;
  }
  StoreLE(out + kHeaderBlockSizeOffset, static_cast<uint32_t>(kBlockSize));
}

TreeHeader TreeHeader::Decode(const char* in) {
  TreeHeader h;
  h.kind = static_cast<TreeKind>(LoadLE<uint32_t>(in + 12));
  h.chain = ChainId(Digest::FromBytes(in + 16));
  h.parent = ChainId(Digest::FromBytes(in + 48));
  const char* p = in + 80;
  for (uint64_t* v :
       {&h.ino_offset, &h.ino_limit, &h.first_ino, &h.last_ino, &h.name_count, &h.inodes.offset,
        &h.inodes.size, &h.dirents.offset, &h.dirents.size, &h.links.offset, &h.links.size,
        &h.blob.offset, &h.blob.size, &h.checksums.offset, &h.checksums.size}) {
    *v = LoadLE<uint64_t>(p);
    p += sizeof *v;
  }
  return h;
}

void InodeRecord::Encode(char* out) const {
  InodeRecord r = SwapOnBigEndian(*this);
  std::memcpy(out, &r, sizeof r);
}

InodeRecord InodeRecord::Decode(const char* p) {
  InodeRecord r;
  std::memcpy(&r, p, sizeof r);
  return SwapOnBigEndian(r);
}

InodeRecord InodeRecord::DefaultDir(Ino ino) {
  InodeRecord r;
  r.ino = ino;
  r.mode = kDefaultDirMode;
  r.nlink = 2;
  return r;
}

Attributes InodeRecord::attributes() const {
  return {.mode = mode,
          .uid = uid,
          .gid = gid,
          .size = size,
          .mtime_sec = mtime_sec,
          .mtime_nsec = mtime_nsec,
          .rdev_major = rdev_major,
          .rdev_minor = rdev_minor};
}

void InodeRecord::SetAttributes(const Attributes& attr) {
  mode = attr.mode;
  uid = attr.uid;
  gid = attr.gid;
  size = attr.size;
  mtime_sec = attr.mtime_sec;
  mtime_nsec = attr.mtime_nsec;
  rdev_major = attr.rdev_major;
  rdev_minor = attr.rdev_minor;
}

std::string EncodeXattrs(const std::vector<Xattr>& xattrs) {
  std::vector<const Xattr*> sorted;
  sorted.reserve(xattrs.size());
  for (const Xattr& x : xattrs) sorted.push_back(&x);
  // By place in the caller's list where names are equal.
  std::ranges::sort(sorted, [](const Xattr* a, const Xattr* b) {
    return a->name != b->name ? a->name < b->name : a < b;
  });
  std::string out;
  for (size_t i = 0; i < sorted.size(); ++i) {
    // Of a name given twice the last one counts.
    if (i + 1 < sorted.size() && sorted[i + 1]->name == sorted[i]->name) continue;
    AppendLE(out, static_cast<uint32_t>(sorted[i]->name.size()));
    AppendLE(out, static_cast<uint32_t>(sorted[i]->value.size()));
    out += sorted[i]->name;
    out += sorted[i]->value;
  }
  return out;
}

}  // namespace veneer::tree
