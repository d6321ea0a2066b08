// FileStamp: what tells that a file of the host was changed: whoever writes to it changes its
// ctime.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <string>

#include "store/base/result.h"

namespace veneer::build {

struct FileStamp {
  uint64_t device = 0;
  uint64_t inode = 0;
  int64_t size = 0;
  int64_t mtime_sec = 0, ctime_sec = 0;
  int64_t mtime_nsec = 0, ctime_nsec = 0;

  bool operator==(const FileStamp&) const = default;
};

// Of an open file.
inline Result<FileStamp> StampOf(int fd) {
  struct stat st;
  if (fstat(fd, &st) != 0) return Errno("fstat");
  return FileStamp{.device = st.st_dev,
                   .inode = st.st_ino,
                   .size = st.st_size,
                   .mtime_sec = st.st_mtim.tv_sec,
                   .ctime_sec = st.st_ctim.tv_sec,
                   .mtime_nsec = st.st_mtim.tv_nsec,
                   .ctime_nsec = st.st_ctim.tv_nsec};
}

// `path`: as in a SourceTree.
inline std::unexpected<Error> ChangedMeanwhile(const std::string& path) {
  return Invalid("/" + path + " changed while it was read", EAGAIN);
}

}  // namespace veneer::build
