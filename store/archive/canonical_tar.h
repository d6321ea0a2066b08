// CanonicalTarWriter: the tar that Veneer itself writes for a committed layer (libarchive's PAX
// writer underneath).
//
// Canonical: the same entries in the same order give the same bytes: PAX only where ustar cannot
// say it, no atime/ctime, no user or group names, xattrs as SCHILY.xattr sorted by name, no device
// or inode numbers of the host, two zero blocks at the end and no further padding. The caller
// sorts.
#pragma once

#include <memory>
#include <string_view>

#include "store/archive/layer_tar.h"
#include "store/base/result.h"

namespace veneer {

class CanonicalTarWriter {
 public:
  // Header and padding bytes go to OnLiteral-like `literal`, file bytes as they are written to
  // `payload`; both borrowed.
  static Result<std::unique_ptr<CanonicalTarWriter>> Create(ByteSink& literal, ByteSink& payload);
  virtual ~CanonicalTarWriter() = default;

  // `entry.path` without a leading "/", directories may come without a trailing one. A regular file
  // is followed by WriteContent calls of exactly attr.size bytes in all (sparse files are written
  // expanded).
  virtual Result<> WriteEntry(const TarEntry& entry) = 0;
  virtual Result<> WriteContent(std::string_view data) = 0;
  virtual Result<> Finish() = 0;
};

}  // namespace veneer
