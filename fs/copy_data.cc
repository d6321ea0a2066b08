#include "fs/copy_data.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "fs/slice.h"
#include "store/base/beneath.h"

namespace veneer::fs {

namespace {

constexpr uint64_t kMuch = 256 << 10;  // bytes: takes longer than a thread's turn

Result<> CopyThroughMemory(int from, int to, uint64_t offset, uint64_t length) {
  std::vector<char> buffer(std::min<uint64_t>(length, 1 << 20));
  while (length > 0) {
    size_t want = std::min<uint64_t>(length, buffer.size());
    TRY_ASSIGN(size_t n, PreadUpTo(from, buffer.data(), want, offset));
    if (n == 0) return Fail(EIO, "copy-up: lower file is shorter than it says");
    TRY(PwriteAll(to, {buffer.data(), n}, offset));
    offset += n;
    length -= n;
  }
  return {};
}

}  // namespace

Result<> CopyRange(int from, int to, uint64_t offset, uint64_t length) {
  std::optional<LongSlice> slice;
  if (length >= kMuch) slice.emplace(LongSlice::kSomebodyWaits);
  while (length > 0) {
    off_t in = static_cast<off_t>(offset);
    off_t out = in;
    ssize_t n = copy_file_range(from, &in, to, &out, std::min<uint64_t>(length, 1 << 30), 0);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && (errno == EXDEV || errno == EINVAL || errno == EOPNOTSUPP || errno == ENOSYS)) {
      return CopyThroughMemory(from, to, offset, length);
    }
    if (n < 0) return Errno("copy-up");
    // Some filesystems answer 0 for files they generate; reading tells.
    if (n == 0) return CopyThroughMemory(from, to, offset, length);
    offset += static_cast<uint64_t>(n);
    length -= static_cast<uint64_t>(n);
  }
  return {};
}

bool CloneData(int from, int to, uint64_t size) {
  struct stat st = {};
  return fstat(from, &st) == 0 && static_cast<uint64_t>(st.st_size) == size &&
         ioctl(to, FICLONE, from) == 0;
}

Result<> ForEachExtent(int fd, uint64_t size,
                       const std::function<Result<>(uint64_t start, uint64_t end)>& visit) {
  for (uint64_t offset = 0; offset < size;) {
    off_t data = lseek(fd, static_cast<off_t>(offset), SEEK_DATA);
    if (data < 0 && errno == ENXIO) break;  // a hole up to the end
    off_t hole = -1;
    if (data >= 0) hole = lseek(fd, data, SEEK_HOLE);
    if (data < 0 || hole < 0) {  // not supported
      data = static_cast<off_t>(offset);
      hole = static_cast<off_t>(size);
    }
    uint64_t start = static_cast<uint64_t>(data);
    uint64_t end = std::min(static_cast<uint64_t>(hole), size);
    if (start >= size) break;
    TRY(visit(start, end));
    offset = end;
  }
  return {};
}

Result<uint64_t> CopyData(int from, int to, uint64_t size) {
  if (ftruncate(to, static_cast<off_t>(size)) != 0) return Errno("copy-up");
  uint64_t copied = 0;
  TRY(ForEachExtent(from, size, [&](uint64_t start, uint64_t end) -> Result<> {
    copied += end - start;
    return CopyRange(from, to, start, end - start);
  }));
  return copied;
}

namespace {

Result<bool> IsZero(int fd, uint64_t start, uint64_t end) {
  std::vector<char> buffer(std::min<uint64_t>(end - start, 1 << 20));
  while (start < end) {
    TRY_ASSIGN(size_t n,
               PreadUpTo(fd, buffer.data(), std::min<uint64_t>(end - start, buffer.size()), start));
    if (n == 0) break;
    auto used = buffer.begin() + static_cast<ptrdiff_t>(n);
    if (std::find_if(buffer.begin(), used, [](char c) { return c != 0; }) != used) return false;
    start += n;
  }
  return true;
}

}  // namespace

Result<bool> CopyIsWhole(int from, int copy, uint64_t size) {
  struct stat st = {};
  if (fstat(copy, &st) != 0) return Errno("copy-up");
  if (static_cast<uint64_t>(st.st_size) < size) return false;
  bool whole = true;
  TRY(ForEachExtent(from, size, [&](uint64_t start, uint64_t end) -> Result<> {
    while (whole && start < end) {
      off_t hole = lseek(copy, static_cast<off_t>(start), SEEK_HOLE);
      if (hole < 0 && errno == EINVAL) return {};  // not supported
      if (hole < 0) return Errno("copy-up");
      if (static_cast<uint64_t>(hole) >= end) return {};
      off_t data = lseek(copy, hole, SEEK_DATA);
      if (data < 0 && errno != ENXIO) return Errno("copy-up");
      uint64_t next = data < 0 ? end : std::min(static_cast<uint64_t>(data), end);
      // Room that was reserved and never written is a hole, or zeros once somebody has read it.
      TRY_ASSIGN(whole, IsZero(from, static_cast<uint64_t>(hole), next));
      start = next;
    }
    return {};
  }));
  return whole;
}

}  // namespace veneer::fs
