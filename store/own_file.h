// OwnFile: a file that becomes an object as it is, instead of a copy of it: the large files of an
// upper that nobody needs any more.
//
// An object is trusted by its name, so nobody may write to the file between its first byte being
// hashed and its name being given. The kernel says whether anybody could (fcntl(2), F_SETLEASE: no
// descriptor and no mapping that may write exists), and the ctime whether anybody did. Who opens it
// after Finish() is for the caller to exclude.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <optional>

#include "store/base/result.h"

namespace veneer {

class OwnFile {
 public:
  // Before the content of `fd` (borrowed, O_RDONLY, a file of `size` bytes) is read. nullopt: it
  // has to be copied, because it has other names, somebody could write to it, or the filesystem or
  // the rights of this process do not let us ask.
  static std::optional<OwnFile> Begin(int fd, uint64_t size);

  // When all of it has been read: it gets an object's owner and mode, and loses its attributes.
  // EBUSY: it changed meanwhile.
  Result<> Finish(mode_t mode);

 private:
  OwnFile(int fd, const struct stat& before) : fd_(fd), before_(before) {}
  int fd_;
  struct stat before_;
};

}  // namespace veneer
