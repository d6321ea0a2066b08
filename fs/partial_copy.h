// PartialCopy: the data of one large file while it is copied up block by block. What is written
// goes into the copy at once, the rest of a block that is written in part before it; what has not
// come yet is read from the lower. Room for all of it is reserved at the start, so that what is
// missing can still be copied when the disk is full.
//
// Thread-safe. Copying a piece disturbs the file's times for an instant: who sets these holds
// HoldFile(), who reads them uses Stat(). The state is one bit per block, from 0 to 1 only; and
// `limit`, below which the lower's data counts where a block's bit is 0: the file's size at first,
// less once it was cut shorter.
#pragma once

#include <sys/stat.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string_view>
#include <vector>

#include "store/base/result.h"
#include "store/base/unique_fd.h"

namespace veneer::fs {

class PartialCopy {
 public:
  static constexpr uint64_t kBlock = 64 << 10;  // bytes

  // `from` has `size` bytes; `to` is a regular file opened O_RDWR that is all hole. ENOSPC, EDQUOT:
  // no room. EOPNOTSUPP: the host's filesystem reserves none.
  static Result<std::shared_ptr<PartialCopy>> Begin(UniqueFd from, UniqueFd to, uint64_t size);

  int fd() const { return to_.get(); }  // the copy

  // As pread(2), pwrite(2), ftruncate(2) on the whole file.
  Result<size_t> Read(void* buffer, size_t size, uint64_t offset);
  Result<size_t> Write(std::string_view data, uint64_t offset);
  Result<> Truncate(uint64_t size);

  // Copies a piece of what is missing, and adds its bytes to `copied`. False: nothing is missing
  // any more.
  Result<bool> CopyPiece(uint64_t* copied);
  [[nodiscard]] std::unique_lock<std::mutex> HoldFile();
  // Calls `stat`, which fills `st` from the copy, and puts right what a piece has disturbed. Does
  // not wait for one.
  Result<> Stat(const std::function<Result<>()>& stat, struct stat& st);
  // It was cut shorter: it never holds all of the lower's data.
  bool shrunk() const { return shrunk_; }

 private:
  // A part of the file whose blocks are all there, or all missing.
  struct Run {
    bool present = true;
    uint64_t end = UINT64_MAX;
  };

  PartialCopy(UniqueFd from, UniqueFd to, uint64_t size);
  // The run that `offset` is in; not looked for beyond `up_to`.
  Run RunAt(uint64_t offset, uint64_t up_to);
  Result<> CopyBlock(uint64_t block, uint64_t from_offset);
  void Mark(uint64_t first_block, uint64_t end_block);

  const UniqueFd from_, to_;
  // The copy's content and times; taken before map_mu_. Pieces follow each other closely, so they
  // let those go first who wait for it.
  std::mutex file_mu_;
  std::atomic<int> waiting_{0};
  uint64_t cursor_ = 0;  // the first block that may be missing; guarded by file_mu_
  std::mutex map_mu_;
  std::vector<bool> present_;  // guarded by map_mu_
  uint64_t limit_;             // guarded by map_mu_
  // The times while a piece is copied, which disturbs them; `pieces_` is odd then.
  struct timespec times_[2] = {};  // guarded by map_mu_
  uint64_t pieces_ = 0;            // guarded by map_mu_
  std::atomic<bool> shrunk_{false};
};
using PartialCopyPtr = std::shared_ptr<PartialCopy>;

}  // namespace veneer::fs
