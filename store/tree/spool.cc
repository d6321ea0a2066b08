#include "store/tree/spool.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>

#include "store/base/beneath.h"

namespace veneer::tree {

Result<UniqueFd> UnnamedFile(int dirfd) {
  Result<UniqueFd> fd = OpenAt(dirfd, ".", O_TMPFILE | O_RDWR, 0600);
  if (fd || (fd.error().code() != EOPNOTSUPP && fd.error().code() != EISDIR)) return fd;
  // Some filesystems have no O_TMPFILE.
  static std::atomic<unsigned> counter = 0;
  std::string name = ".spool-" + std::to_string(::getpid()) + "-" + std::to_string(counter++);
  TRY_ASSIGN(UniqueFd named, OpenAt(dirfd, name, O_CREAT | O_EXCL | O_RDWR, 0600));
  if (::unlinkat(dirfd, name.c_str(), 0) < 0) return Errno("unlink temporary file");
  return named;
}

Result<> Spool::Append(std::string_view data) {
  if (buffer_.size() + data.size() > buffer_size_) TRY(Flush());
  buffer_.append(data);
  return {};
}

Result<> Spool::Flush() {
  if (!file_) {
    TRY_ASSIGN(file_, UnnamedFile(dirfd_));
  }
  TRY(WriteAll(file_.get(), buffer_));
  flushed_ += buffer_.size();
  buffer_.clear();
  return {};
}

Result<> Spool::Read(uint64_t offset, char* out, size_t size) const {
  if (offset < flushed_) {
    size_t part = std::min<uint64_t>(size, flushed_ - offset);
    TRY_ASSIGN(size_t got, PreadUpTo(file_.get(), out, part, offset));
    if (got != part) return Fail(EIO, "read temporary file");
    out += part;
    offset += part;
    size -= part;
  }
  if (size > 0) std::memcpy(out, buffer_.data() + (offset - flushed_), size);
  return {};
}

Result<std::string_view> SpoolReader::Read(uint64_t offset, size_t size) {
  joined_.clear();
  while (true) {
    uint64_t block = offset / kBlock;
    Slot& slot = slots_[block % kSlots];
    size_t there = std::min<uint64_t>(kBlock, spool_.size() - block * kBlock);
    if (slot.block != block || slot.data.size() < there) {
      slot.block = UINT64_MAX;
      slot.data.resize(there);
      TRY(spool_.Read(block * kBlock, slot.data.data(), slot.data.size()));
      slot.block = block;
    }
    std::string_view part = std::string_view(slot.data).substr(offset - block * kBlock);
    if (part.size() >= size && joined_.empty()) return part.substr(0, size);
    part = part.substr(0, size);
    joined_.append(part);
    offset += part.size();
    size -= part.size();
    if (size == 0) return std::string_view(joined_);
  }
}

}  // namespace veneer::tree
