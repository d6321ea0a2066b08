// KeepTimes: puts a directory's times back at the end of its scope: a copy-up must not show in the
// parent.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>

namespace veneer::fs {

class KeepTimes {
 public:
  explicit KeepTimes(int dirfd) : dirfd_(dirfd), ok_(fstat(dirfd, &st_) == 0) {}
  ~KeepTimes() {
    timespec times[2] = {st_.st_atim, st_.st_mtim};
    if (ok_) utimensat(dirfd_, "", times, AT_EMPTY_PATH);
  }
  KeepTimes(const KeepTimes&) = delete;
  KeepTimes& operator=(const KeepTimes&) = delete;

 private:
  const int dirfd_;
  struct stat st_ = {};
  const bool ok_;
};

}  // namespace veneer::fs
