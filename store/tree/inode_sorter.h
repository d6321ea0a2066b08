// InodeSorter: inode records added in any order and given back sorted, in bounded memory (an
// external merge sort).
//
// The order is (ino, parent, name): the records of an inode with several names, one for each, come
// together, and in an order that only the tree decides. Not thread-safe.
#pragma once

#include <functional>
#include <vector>

#include "store/base/result.h"
#include "store/tree/format.h"
#include "store/tree/spool.h"

namespace veneer::tree {

class InodeSorter {
 public:
  explicit InodeSorter(int dirfd) : spool_(dirfd) {}

  Result<> Add(const InodeRecord& record);
  // Gives every record to `take`, in order. The sorter is spent.
  Result<> Drain(const std::function<Result<>(const InodeRecord&)>& take);

 private:
  static constexpr size_t kBatch = 65536;    // records sorted in memory at a time: 8 MiB
  static constexpr size_t kReadAhead = 256;  // records read at a time from each run: 32 KiB

  struct SortedRun {
    uint64_t at;  // index of the next record in the spool
    uint64_t end;
    std::vector<InodeRecord> buffer;
    size_t next = 0;
  };

  void SortBatch();
  Result<> SpillBatch();
  Result<bool> Refill(SortedRun& run);

  std::vector<InodeRecord> batch_;
  Spool spool_;
  std::vector<SortedRun> runs_;
  InodeRecord last_spilled_;
};

}  // namespace veneer::tree
