// Spool: bytes written once, in order, and read back later; in memory while small, then in an
// unnamed temporary file. Not thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "store/base/result.h"
#include "store/base/unique_fd.h"

namespace veneer::tree {

// A new file without a name in directory `dirfd`, open for reading and writing.
Result<UniqueFd> UnnamedFile(int dirfd);

class Spool {
 public:
  // `dirfd` (borrowed for the Spool's life) is where the temporary file goes, once there are
  // `buffer_size` bytes.
  explicit Spool(int dirfd, size_t buffer_size = size_t{256} << 10)
      : dirfd_(dirfd), buffer_size_(buffer_size) {}

  Result<> Append(std::string_view data);
  uint64_t size() const { return flushed_ + buffer_.size(); }
  // REQUIRES: `offset + size` is at most size().
  Result<> Read(uint64_t offset, char* out, size_t size) const;

 private:
  Result<> Flush();

  int dirfd_;
  size_t buffer_size_;
  UniqueFd file_;
  uint64_t flushed_ = 0;
  std::string buffer_;  // what follows the file's bytes
};

// Reads a Spool in an order that is mostly its own, through a few cached blocks.
class SpoolReader {
 public:
  explicit SpoolReader(const Spool& spool) : spool_(spool), slots_(kSlots) {}
  // The bytes, valid until the next call.
  Result<std::string_view> Read(uint64_t offset, size_t size);

 private:
  static constexpr size_t kSlots = 512;
  static constexpr size_t kBlock = 4096;
  struct Slot {
    uint64_t block = UINT64_MAX;
    std::string data;
  };
  const Spool& spool_;
  std::vector<Slot> slots_;
  std::string joined_;
};

}  // namespace veneer::tree
