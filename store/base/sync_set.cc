#include "store/base/sync_set.h"

#include <fcntl.h>
#include <unistd.h>

#include "store/base/beneath.h"

namespace veneer {

void SyncSet::Add(int dirfd, std::string path) {
  if (count_++ < kMaxSingly) few_.emplace_back(dirfd, std::move(path));
}

Result<> SyncSet::Sync() {
  if (count_ > kMaxSingly) {
    if (syncfs(dirfd_) != 0) return Errno("syncfs");
  } else {
    std::vector<UniqueFd> files;
    for (const auto& [dirfd, path] : few_) {
      TRY_ASSIGN(files.emplace_back(), OpenAt(dirfd, path, O_RDONLY | O_NOFOLLOW));
      // A journal writes down what all of them changed at once, if none is still to be allocated
      // when the first is synced. Directories have nothing to write here, and say EINVAL or ESPIPE.
      (void)sync_file_range(files.back().get(), 0, 0, SYNC_FILE_RANGE_WRITE);
    }
    for (size_t i = 0; i < files.size(); ++i) {
      if (fsync(files[i].get()) != 0) return Errno("fsync " + few_[i].second);
    }
  }
  few_.clear();
  count_ = 0;
  return {};
}

}  // namespace veneer
