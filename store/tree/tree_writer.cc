#include "store/tree/tree_writer.h"

#include <unistd.h>

#include <algorithm>

#include "store/base/beneath.h"
#include "store/base/crc32c.h"

namespace veneer::tree {

namespace {

// Writes a file from its start and keeps the checksum of each block.
class BlockOutput {
 public:
  explicit BlockOutput(int fd) : fd_(fd) { buffer_.reserve(kBuffer); }

  Result<> Write(std::string_view data) {
    while (!data.empty()) {
      std::string_view part = data.substr(0, kBuffer - buffer_.size());
      buffer_.append(part);
      data.remove_prefix(part.size());
      if (buffer_.size() == kBuffer) TRY(Flush());
    }
    return {};
  }
  uint64_t size() const { return written_ + buffer_.size(); }

  // Ends the checksummed part; gives the table.
  Result<std::string> EndBlocks() {
    TRY(Flush());
    return std::move(table_);
  }

 private:
  static constexpr size_t kBuffer =
      16 * kBlockSize;  // whole blocks, so that one never spans two flushes

  Result<> Flush() {
    std::string_view rest = buffer_;
    size_t skip = written_ == 0 ? kHeaderSize : 0;
    while (!rest.empty()) {
      std::string_view block = rest.substr(0, kBlockSize);
      AppendLE(table_, Crc32c(block.substr(std::min(skip, block.size()))));
      skip = 0;
      rest.remove_prefix(block.size());
    }
    TRY(PwriteAll(fd_, buffer_, written_));
    written_ += buffer_.size();
    buffer_.clear();
    return {};
  }

  int fd_;
  uint64_t written_ = 0;
  std::string buffer_;
  std::string table_;
};

Result<Section> CopySection(const Spool& spool, BlockOutput& out) {
  Section section{.offset = out.size(), .size = spool.size()};
  std::string buffer(std::min<uint64_t>(spool.size(), 1u << 20), '\0');
  for (uint64_t at = 0; at < spool.size();) {
    size_t n = std::min<uint64_t>(buffer.size(), spool.size() - at);
    TRY(spool.Read(at, buffer.data(), n));
    TRY(out.Write({buffer.data(), n}));
    at += n;
  }
  return section;
}

}  // namespace

TreeWriter::TreeWriter(int scratch_dirfd)
    : inodes_(scratch_dirfd),
      dirents_(scratch_dirfd),
      links_(scratch_dirfd),
      blob_(scratch_dirfd) {}

Result<uint64_t> TreeWriter::AppendBlob(std::string_view data) {
  uint64_t at = blob_.size();
  TRY(blob_.Append(data));
  return at;
}

Result<uint64_t> TreeWriter::AddName(std::string_view name) { return AppendBlob(name); }

Result<> TreeWriter::AddDirent(const DirEntry& entry) {
  TRY_ASSIGN(uint64_t name, AppendBlob(entry.name));
  char out[kDirentSize];
  StoreLE(out, entry.ino);
  StoreLE(out + 8, name);
  StoreLE(out + 16, static_cast<uint32_t>(entry.name.size()));
  StoreLE(out + 20, static_cast<uint32_t>(entry.type));
  return dirents_.Append({out, sizeof out});
}

Result<> TreeWriter::AddInode(InodeRecord record, std::string_view target,
                              std::string_view xattrs) {
  if (record.HasTarget()) {
    TRY_ASSIGN(uint64_t at, AppendBlob(target));
    record.SetRange(at, target.size());
  }
  record.xattr_offset = 0;
  record.xattr_size = static_cast<uint32_t>(xattrs.size());
  if (!xattrs.empty()) {
    // Files of one directory often share their list, a security label above all.
    if (xattrs != last_xattrs_) {
      TRY_ASSIGN(last_xattrs_at_, AppendBlob(xattrs));
      last_xattrs_ = xattrs;
    }
    record.xattr_offset = last_xattrs_at_;
  }
  return inodes_.Add(record);
}

Result<> TreeWriter::Finish(TreeHeader header, int fd) {
  BlockOutput out(fd);
  TRY(out.Write(std::string(kHeaderSize, '\0')));

  // The records of one inode are its names: the first stands for it, and refers to links when there
  // are several.
  InodeRecord current;
  uint32_t names = 0;
  auto add_link = [&](uint64_t parent, uint64_t name, uint32_t name_size) {
    char link[kLinkSize] = {};
    StoreLE(link, parent);
    StoreLE(link + 8, name);
    StoreLE(link + 16, name_size);
    return links_.Append({link, sizeof link});
  };
  auto end_inode = [&]() -> Result<> {
    if (names == 0) return {};
    if (!current.IsDir()) current.nlink = names;
    if (header.first_ino == 0) header.first_ino = current.ino;
    header.last_ino = current.ino;
    char encoded[kInodeSize];
    current.Encode(encoded);
    names = 0;
    return out.Write({encoded, sizeof encoded});
  };
  header.inodes.offset = out.size();
  TRY(inodes_.Drain([&](const InodeRecord& r) -> Result<> {
    if (names == 0 || current.ino != r.ino) {
      TRY(end_inode());
      current = r;
      names = 1;
      return {};
    }
    if (r.IsDir()) return Invalid("tree is damaged: directory with two names", EBADMSG);
    if (names++ == 1) {
      uint64_t first = links_.size() / kLinkSize;
      TRY(add_link(current.parent, current.name, current.name_size));
      current.name = first;
      current.name_size = 0;
    }
    return add_link(r.parent, r.name, r.name_size);
  }));
  TRY(end_inode());
  header.inodes.size = out.size() - header.inodes.offset;

  TRY_ASSIGN(header.dirents, CopySection(dirents_, out));
  TRY_ASSIGN(header.links, CopySection(links_, out));
  TRY_ASSIGN(header.blob, CopySection(blob_, out));
  header.checksums.offset = out.size();
  TRY_ASSIGN(std::string table, out.EndBlocks());
  header.checksums.size = table.size();
  TRY(PwriteAll(fd, table, header.checksums.offset));
  if (::ftruncate(fd, static_cast<off_t>(header.checksums.offset + table.size())) < 0) {
    return Errno("truncate tree file");
  }

  char bytes[kHeaderSize];
  header.Encode(bytes);
  StoreLE(bytes + kHeaderCrcOffset, Crc32c(table, Crc32c({bytes, kHeaderCrcOffset})));
  return PwriteAll(fd, {bytes, sizeof bytes}, 0);
}

}  // namespace veneer::tree
