// SyncSet: files and directories that are to be durable together: synced one by one when they are
// few, with all of their filesystem when they are many. Not thread-safe.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "store/base/result.h"

namespace veneer {

class SyncSet {
 public:
  // `dirfd` (borrowed) is on the filesystem of all of them, and is what syncfs(2) is given.
  explicit SyncSet(int dirfd) : dirfd_(dirfd) {}

  void Add(int dirfd, std::string path);  // `dirfd` is borrowed until Sync()

  // All that was added, as it is now, is on the disk; the set is empty.
  Result<> Sync();

 private:
  static constexpr size_t kMaxSingly = 16;

  int dirfd_;
  size_t count_ = 0;
  std::vector<std::pair<int, std::string>> few_;  // the first kMaxSingly of them
};

}  // namespace veneer
