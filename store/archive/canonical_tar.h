// CanonicalTarWriter: the tar that Veneer itself writes for a committed layer.
//
// Canonical: the same entries in the same order give the same bytes, on every host and with every
// version of every library: ustar, and PAX records (sorted by key) only for what ustar cannot say:
// names that are long or not ASCII, large owners and sizes, times with a fraction or outside of
// ustar's range, xattrs as SCHILY.xattr. No atime, ctime, user or group names, no device or inode
// numbers of the host; two zero blocks at the end and no further padding. The caller sorts.
//
// Written here and not by libarchive, whose PAX writer converts names through the process's locale,
// writes fractions before 1970 wrong and changes its bytes from version to version. Not
// thread-safe.
#pragma once

#include <memory>
#include <string_view>

#include "store/archive/layer_tar.h"
#include "store/base/result.h"

namespace veneer {

class CanonicalTarWriter {
 public:
  // Header and padding bytes go to `literal`, file bytes as they are written to `payload`; both
  // borrowed. The padding behind a file's content goes out with the next WriteEntry or Finish, so
  // that what is written down after the last WriteContent stands before it.
  static Result<std::unique_ptr<CanonicalTarWriter>> Create(ByteSink& literal, ByteSink& payload);
  virtual ~CanonicalTarWriter() = default;

  // `entry.path` without a leading "/", directories may come without a trailing one. A regular file
  // is followed by WriteContent calls of exactly attr.size bytes in all (sparse files are written
  // expanded). EINVAL for what a tar cannot carry: an empty name or one with a NUL, a socket, an
  // xattr with "=" in its name, device numbers above 2097151; and when the content before this
  // entry is not complete.
  virtual Result<> WriteEntry(const TarEntry& entry) = 0;
  virtual Result<> WriteContent(std::string_view data) = 0;
  virtual Result<> Finish() = 0;
};

}  // namespace veneer
