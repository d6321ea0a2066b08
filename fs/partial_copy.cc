#include "fs/partial_copy.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <iterator>

#include "fs/copy_data.h"
#include "store/base/beneath.h"
#include "store/base/fault.h"

namespace veneer::fs {

namespace {

constexpr uint64_t kPiece = 1 << 20;  // bytes; a writer of this file may wait for so much
// Reserved by one call, in which the kernel may not let go of the CPU: 4 GiB take it 2 ms.
constexpr uint64_t kReserve = 32 << 20;
// How often, and for how long each time, a piece lets others go first.
constexpr int kTurns = 200;
constexpr useconds_t kTurnUs = 50;

}  // namespace

PartialCopy::PartialCopy(UniqueFd from, UniqueFd to, uint64_t size)
    : from_(std::move(from)),
      to_(std::move(to)),
      present_((size + kBlock - 1) / kBlock, true),
      limit_(size) {}

Result<std::shared_ptr<PartialCopy>> PartialCopy::Begin(UniqueFd from, UniqueFd to, uint64_t size) {
  std::shared_ptr<PartialCopy> copy(new PartialCopy(std::move(from), std::move(to), size));
  if (ftruncate(copy->fd(), static_cast<off_t>(size)) != 0) return Errno("copy-up");
  TRY(ForEachExtent(copy->from_.get(), size, [&](uint64_t start, uint64_t end) -> Result<> {
    for (uint64_t at = start; at < end;) {
      const uint64_t length = std::min(end - at, kReserve);
      if (fallocate(copy->fd(), 0, static_cast<off_t>(at), static_cast<off_t>(length)) != 0) {
        return Errno("copy-up: room");
      }
      at += length;
    }
    for (uint64_t block = start / kBlock; block * kBlock < end; ++block) {
      copy->present_[block] = false;
    }
    return {};
  }));
  return copy;
}

PartialCopy::Run PartialCopy::RunAt(uint64_t offset, uint64_t up_to) {
  std::lock_guard lock(map_mu_);
  if (offset >= limit_) return {};
  uint64_t block = offset / kBlock;
  Run run{.present = present_[block]};
  uint64_t end = std::min(up_to, limit_);
  while (block * kBlock < end && present_[block] == run.present) ++block;
  // What is there goes on behind the limit.
  run.end = block * kBlock < limit_ ? block * kBlock : run.present ? UINT64_MAX : limit_;
  return run;
}

void PartialCopy::Mark(uint64_t first_block, uint64_t end_block) {
  std::lock_guard lock(map_mu_);
  end_block = std::min<uint64_t>(end_block, present_.size());
  for (uint64_t block = first_block; block < end_block; ++block) present_[block] = true;
}

Result<size_t> PartialCopy::Read(void* buffer, size_t size, uint64_t offset) {
  size_t done = 0;
  while (done < size) {
    Run run = RunAt(offset + done, offset + size);
    size_t want = std::min<uint64_t>(size - done, run.end - (offset + done));
    TRY_ASSIGN(size_t n, PreadUpTo(run.present ? to_.get() : from_.get(),
                                   static_cast<char*>(buffer) + done, want, offset + done));
    done += n;
    if (n == want) continue;
    if (!run.present) return Fail(EIO, "lower file is shorter than it says");
    break;
  }
  return done;
}

// Brings what the lower has of a missing block from `from_offset` on.
Result<> PartialCopy::CopyBlock(uint64_t block, uint64_t from_offset) {
  uint64_t end = (block + 1) * kBlock;
  {
    std::lock_guard lock(map_mu_);
    if (block >= present_.size() || present_[block]) return {};
    end = std::min(end, limit_);
  }
  if (from_offset < end) TRY(CopyRange(from_.get(), to_.get(), from_offset, end - from_offset));
  Mark(block, block + 1);
  return {};
}

Result<size_t> PartialCopy::Write(std::string_view data, uint64_t offset) {
  if (data.empty()) return 0;
  auto file = HoldFile();
  uint64_t end = offset + data.size();
  uint64_t first = offset / kBlock;
  uint64_t last = (end - 1) / kBlock;
  // Blocks that are overwritten in part; those between are overwritten as wholes.
  if (offset % kBlock != 0) TRY(CopyBlock(first, first * kBlock));
  if (end % kBlock != 0) TRY(CopyBlock(last, last * kBlock));
  TRY(FaultPoint("partial.before_write"));
  size_t done = 0;
  Result<size_t> result = 0;
  while (done < data.size()) {
    ssize_t n = pwrite(to_.get(), data.data() + done, data.size() - done,
                       static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && done == 0) return Errno("write");
    if (n <= 0) break;
    done += static_cast<size_t>(n);
  }
  Mark((offset + kBlock - 1) / kBlock, (offset + done) / kBlock);
  if (done < data.size()) TRY(CopyBlock((offset + done) / kBlock, offset + done));
  return done;
}

std::unique_lock<std::mutex> PartialCopy::HoldFile() {
  ++waiting_;
  std::unique_lock lock(file_mu_);
  --waiting_;
  return lock;
}

Result<> PartialCopy::Stat(const std::function<Result<>()>& stat, struct stat& st) {
  for (;;) {
    uint64_t before;
    timespec times[2];
    {
      std::lock_guard lock(map_mu_);
      before = pieces_;
      std::copy(std::begin(times_), std::end(times_), times);
    }
    TRY(stat());
    std::lock_guard lock(map_mu_);
    if (pieces_ != before) continue;
    if (before % 2 == 1) {
      st.st_atim = times[0];
      st.st_mtim = times[1];
    }
    return {};
  }
}

Result<> PartialCopy::Truncate(uint64_t size) {
  auto file = HoldFile();
  if (ftruncate(to_.get(), static_cast<off_t>(size)) != 0) return Errno("truncate");
  std::lock_guard lock(map_mu_);
  if (size >= limit_) return {};
  limit_ = size;
  shrunk_ = true;
  return {};
}

Result<bool> PartialCopy::CopyPiece(uint64_t* copied) {
  for (int i = 0; i < kTurns && waiting_ > 0; ++i) usleep(kTurnUs);
  std::lock_guard file(file_mu_);
  uint64_t first = cursor_;
  uint64_t end = 0;
  uint64_t limit = 0;
  {
    std::lock_guard lock(map_mu_);
    limit = limit_;
    while (first * kBlock < limit && present_[first]) ++first;
    end = first;
    while (end * kBlock < limit && !present_[end] && (end - first) * kBlock < kPiece) ++end;
  }
  cursor_ = first;
  if (end == first) return false;
  struct stat st = {};
  if (fstat(to_.get(), &st) != 0) return Errno("copy-up");
  uint64_t length = std::min(end * kBlock, limit) - first * kBlock;
  const timespec times[2] = {st.st_atim, st.st_mtim};
  {
    std::lock_guard lock(map_mu_);
    std::copy(std::begin(times), std::end(times), times_);
    ++pieces_;
  }
  auto done = CopyRange(from_.get(), to_.get(), first * kBlock, length);
  if (futimens(to_.get(), times) != 0 && done) done = Errno("copy-up: times");
  {
    std::lock_guard lock(map_mu_);
    ++pieces_;
  }
  TRY(done);
  Mark(first, end);
  *copied += length;
  return true;
}

}  // namespace veneer::fs
