#include "store/tree/tree_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <map>

#include "store/base/crc32c.h"
#include "store/base/mutex.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif

namespace veneer::tree {

namespace {

std::unexpected<Error> Damaged(const char* what) {
  return Invalid(std::string("tree file is damaged: ") + what, EBADMSG);
}

bool Inside(const Section& s, uint64_t limit, uint64_t unit) {
  return s.offset >= kHeaderSize && s.offset <= limit && s.size <= limit - s.offset &&
         s.size % unit == 0;
}

// Makes the pages of the range present, so that a read error or a file cut short is an errno here
// and not SIGBUS later. Kernels before 5.14 do not know the advice; there the bytes are simply
// read.
bool Populate(const char* map, uint64_t offset, uint64_t size) {
  constexpr uint64_t kPage = 4096;
  uint64_t start = offset / kPage * kPage;
  void* p = const_cast<char*>(map) + start;
  while (::madvise(p, offset - start + size, MADV_POPULATE_READ) < 0) {
    if (errno != EINTR && errno != EAGAIN) return errno == EINVAL;
  }
  return true;
}

// The page tables count every page of a mapping that was touched as this process' memory, though it
// is page cache. Once so much was read from disk for the first time, all mappings are let go of:
// what is used again comes back by a minor fault.
constexpr uint64_t kMaxResident = 16 << 20;  // bytes

struct Mappings {
  Mutex mu;
  std::map<const char*, uint64_t> sizes GUARDED_BY(mu);  // by address
  std::atomic<uint64_t> touched{0};                      // bytes verified since they were let go of
};
Mappings& AllMappings() {
  static auto* mappings = new Mappings();
  return *mappings;
}

void Touched(uint64_t bytes) {
  Mappings& all = AllMappings();
  if (all.touched.fetch_add(bytes, std::memory_order_relaxed) + bytes < kMaxResident) return;
  all.touched = 0;
  MutexLock lock(all.mu);
  for (const auto& [map, size] : all.sizes) {
    ::madvise(const_cast<char*>(map), size, MADV_DONTNEED);
  }
}

}  // namespace

TreeFile::TreeFile(const char* map, uint64_t size) : map_(map), size_(size) {
  Mappings& all = AllMappings();
  MutexLock lock(all.mu);
  all.sizes[map_] = size_;
}

Result<std::unique_ptr<TreeFile>> TreeFile::Open(int fd) {
  struct stat st;
  if (::fstat(fd, &st) < 0) return Errno("stat tree file");
  if (!S_ISREG(st.st_mode)) return Invalid("not a tree file", EBADMSG);
  uint64_t size = static_cast<uint64_t>(st.st_size);
  if (size < kHeaderSize) return Damaged("it is shorter than a header");
  void* map = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, fd, 0);
  if (map == MAP_FAILED) return Errno("map tree file");
  std::unique_ptr<TreeFile> file(new TreeFile(static_cast<const char*>(map), size));
  TRY(file->CheckHeader());
  return file;
}

TreeFile::~TreeFile() {
  Mappings& all = AllMappings();
  MutexLock lock(all.mu);
  all.sizes.erase(map_);
  ::munmap(const_cast<char*>(map_), size_);
}

Result<> TreeFile::CheckHeader() {
  if (!Populate(map_, 0, kHeaderSize)) return Fail(EIO, "read tree file");
  if (std::string_view(map_, kTreeMagic.size()) != kTreeMagic) {
    return Invalid("not a tree file", EBADMSG);
  }
  uint32_t version = LoadLE<uint32_t>(map_ + kHeaderVersionOffset);
  if (version != kTreeVersion) {
    return Invalid("tree file has version " + std::to_string(version) + ", not " +
                       std::to_string(kTreeVersion),
                   EBADMSG);
  }
  header_ = TreeHeader::Decode(map_);
  const Section& table = header_.checksums;
  uint64_t blocks = table.offset / kBlockSize + (table.offset % kBlockSize != 0);
  if (LoadLE<uint32_t>(map_ + kHeaderBlockSizeOffset) != kBlockSize ||
      !Inside(table, size_, sizeof(uint32_t)) || table.offset + table.size != size_ ||
      table.size != blocks * sizeof(uint32_t)) {
    return Damaged("its size is not what its header says");
  }
  if (!Populate(map_, table.offset, table.size)) return Fail(EIO, "read tree file");
  uint32_t crc = Crc32c(std::string_view(map_ + table.offset, table.size),
                        Crc32c(std::string_view(map_, kHeaderCrcOffset)));
  if (crc != LoadLE<uint32_t>(map_ + kHeaderCrcOffset)) return Damaged("header");
  if (header_.kind < TreeKind::kLayer || header_.kind > TreeKind::kDelta ||
      !Inside(header_.inodes, table.offset, kInodeSize) ||
      !Inside(header_.dirents, table.offset, kDirentSize) ||
      !Inside(header_.links, table.offset, kLinkSize) || !Inside(header_.blob, table.offset, 1) ||
      (inode_count() > 0 && (header_.last_ino < header_.first_ino ||
                             header_.last_ino - header_.first_ino < inode_count() - 1))) {
    return Damaged("header");
  }
  checksums_.reserve(blocks);
  for (uint64_t b = 0; b < blocks; ++b) {
    checksums_.push_back(LoadLE<uint32_t>(map_ + table.offset + b * sizeof(uint32_t)));
  }
  verified_ = std::vector<std::atomic<uint64_t>>(blocks / 64 + 1);
  return {};
}

bool TreeFile::Verify(uint64_t block) const {
  // The header is in the first block, and holds a checksum of its own.
  uint64_t start = block == 0 ? kHeaderSize : block * kBlockSize;
  uint64_t end = std::min<uint64_t>((block + 1) * kBlockSize, header_.checksums.offset);
  if (start < end && !Populate(map_, start, end - start)) return false;
  if (start < end && Crc32c(std::string_view(map_ + start, end - start)) != checksums_[block]) {
    return false;
  }
  verified_[block / 64].fetch_or(uint64_t{1} << (block % 64), std::memory_order_relaxed);
  Touched(kBlockSize);
  return true;
}

inline const char* TreeFile::At(const Section& section, uint64_t offset, uint64_t size) const {
  if (offset > section.size || size > section.size - offset) return nullptr;
  uint64_t begin = section.offset + offset;
  if (size == 0) return map_ + begin;
  for (uint64_t b = begin / kBlockSize; b <= (begin + size - 1) / kBlockSize; ++b) {
    if (verified_[b / 64].load(std::memory_order_relaxed) >> (b % 64) & 1) continue;
    if (!Verify(b)) return nullptr;
  }
  return map_ + begin;
}

Result<InodeRecord> TreeFile::RecordAt(uint64_t index) const {
  if (index >= inode_count()) return Damaged("inode");
  const char* p = At(header_.inodes, index * kInodeSize, kInodeSize);
  if (!p) return Damaged("inode");
  return InodeRecord::Decode(p);
}

Result<bool> TreeFile::Find(Ino ino, InodeRecord* record) const {
  uint64_t n = inode_count();
  if (n == 0 || ino < header_.first_ino || ino > header_.last_ino) return false;
  // Numbers are distinct and sorted, so a record stands at most this far from either end; in a
  // dense file both say the same place.
  uint64_t high = std::min(n - 1, ino - header_.first_ino);
  uint64_t from_end = header_.last_ino - ino;
  uint64_t low = from_end >= n - 1 ? 0 : n - 1 - from_end;
  while (low <= high) {
    uint64_t mid = low + (high - low) / 2;
    const char* p = At(header_.inodes, mid * kInodeSize, kInodeSize);
    if (!p) return Damaged("inode");
    uint64_t at = LoadLE<uint64_t>(p);
    if (at == ino) {
      *record = InodeRecord::Decode(p);
      return true;
    }
    if (at < ino) {
      low = mid + 1;
    } else {
      if (mid == 0) break;
      high = mid - 1;
    }
  }
  return false;
}

inline bool TreeFile::Load(uint64_t index, DirEntry* entry) const {
  if (index >= dirent_count()) return false;
  const char* p = At(header_.dirents, index * kDirentSize, kDirentSize);
  if (!p) return false;
  uint32_t name_size = LoadLE<uint32_t>(p + 16);
  if (name_size == 0 || name_size > kNameMax) return false;
  const char* name = At(header_.blob, LoadLE<uint64_t>(p + 8), name_size);
  if (!name) return false;
  *entry = {.name = {name, name_size},
            .ino = LoadLE<uint64_t>(p),
            .type = static_cast<uint8_t>(LoadLE<uint32_t>(p + 20))};
  return true;
}

Result<DirEntry> TreeFile::EntryAt(uint64_t index) const {
  DirEntry e;
  if (!Load(index, &e)) return Damaged("directory entry");
  return e;
}

Result<> TreeFile::CheckRange(const InodeRecord& dir) const {
  uint64_t n = dirent_count();
  if (dir.first() > n || dir.count() > n - dir.first()) return Damaged("directory");
  return {};
}

Result<uint64_t> TreeFile::LowerBound(const InodeRecord& dir, std::string_view name,
                                      bool after) const {
  TRY(CheckRange(dir));
  uint64_t low = dir.first();
  uint64_t high = low + dir.count();
  DirEntry e;
  while (low < high) {
    uint64_t mid = low + (high - low) / 2;
    if (!Load(mid, &e)) return Damaged("directory entry");
    int c = e.name.compare(name);
    if (c < 0 || (after && c == 0)) {
      low = mid + 1;
    } else {
      high = mid;
    }
  }
  return low;
}

Result<std::optional<DirEntry>> TreeFile::FindName(const InodeRecord& dir,
                                                   std::string_view name) const {
  uint64_t n = dirent_count();
  uint64_t low = dir.first();
  if (low > n || dir.count() > n - low) return Damaged("directory");
  uint64_t high = low + dir.count();
  DirEntry e;
  while (low < high) {
    uint64_t mid = low + (high - low) / 2;
    if (!Load(mid, &e)) return Damaged("directory entry");
    int c = e.name.compare(name);
    if (c == 0) return e;
    if (c < 0) {
      low = mid + 1;
    } else {
      high = mid;
    }
  }
  return std::nullopt;
}

Result<std::string_view> TreeFile::Blob(uint64_t offset, uint64_t size) const {
  const char* p = At(header_.blob, offset, size);
  if (!p) return Damaged("string");
  return std::string_view(p, size);
}

Result<std::string_view> TreeFile::Target(const InodeRecord& record) const {
  return Blob(record.first(), record.count());
}

Result<std::string_view> TreeFile::XattrList(const InodeRecord& record) const {
  return Blob(record.xattr_offset, record.xattr_size);
}

Result<std::vector<Xattr>> TreeFile::Xattrs(const InodeRecord& record) const {
  TRY_ASSIGN(std::string_view list, XattrList(record));
  return DecodeXattrs(list);
}

Result<std::string_view> TreeFile::OwnName(const InodeRecord& record) const {
  if (record.name_size > kNameMax) return Damaged("name");
  return Blob(record.name, record.name_size);
}

Result<std::vector<NameOf>> TreeFile::Names(const InodeRecord& record) const {
  std::vector<NameOf> out;
  if (record.name_size > 0) {
    TRY_ASSIGN(std::string_view name, OwnName(record));
    out.push_back({.parent = record.parent, .name = std::string(name)});
    return out;
  }
  if (record.IsDir()) return out;  // the root
  uint64_t n = header_.links.size / kLinkSize;
  if (record.name > n || record.nlink > n - record.name) return Damaged("links");
  for (uint64_t i = record.name; i < record.name + record.nlink; ++i) {
    const char* p = At(header_.links, i * kLinkSize, kLinkSize);
    if (!p) return Damaged("links");
    TRY_ASSIGN(std::string_view name, Blob(LoadLE<uint64_t>(p + 8), LoadLE<uint32_t>(p + 16)));
    out.push_back({.parent = LoadLE<uint64_t>(p), .name = std::string(name)});
  }
  return out;
}

Result<> TreeFile::VerifyAll() const {
  for (uint64_t b = 0; b * kBlockSize < header_.checksums.offset; ++b) {
    if (!Verify(b)) {
      return Invalid("tree file is damaged: block at byte " + std::to_string(b * kBlockSize),
                     EBADMSG);
    }
  }
  return {};
}

Result<std::vector<Xattr>> DecodeXattrs(std::string_view list) {
  std::vector<Xattr> out;
  ByteReader in(list);
  while (in.ok() && in.remaining() > 0) {
    uint32_t name_size = in.Read<uint32_t>();
    uint32_t value_size = in.Read<uint32_t>();
    std::string_view name = in.Take(name_size);
    std::string_view value = in.Take(value_size);
    if (in.ok()) out.push_back({.name = std::string(name), .value = std::string(value)});
  }
  if (!in.ok()) return Damaged("extended attributes");
  return out;
}

Inode ToInode(const InodeRecord& r) {
  Inode inode{.ino = r.ino,
              .attr = r.attributes(),
              .nlink = r.nlink,
              .flags = r.flags,
              .object = {},
              .parent = r.parent};
  if (r.IsRegular()) inode.object = ObjectId(Digest::FromBytes(r.payload.data()));
  return inode;
}

}  // namespace veneer::tree
