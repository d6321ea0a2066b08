// What the files of a stack's layers say to the overlay: attributes under any of the three
// prefixes, 0/0 devices, and names of AUFS (docs/upper-format.md).
#pragma once

#include <sys/stat.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "fs/xattr_io.h"

namespace veneer::fs {

// The markers of one file. What it has is listed first: most have none, and none is read then.
class StackMarkers {
 public:
  explicit StackMarkers(FileAt file);
  // The value under the first prefix that has one.
  std::optional<std::string> Find(std::string_view marker) const;
  // Where a directory says its lower is.
  std::optional<std::string> Redirect() const;
  // Of directory `name` of `dirfd`: nothing shows through it from the layers below.
  bool IsOpaque(int dirfd, const std::string& name) const;

 private:
  const FileAt file_;
  bool unlisted_ = false;  // names_ may lack some
  std::vector<std::string> names_;
};

// Whether entry `name` of `dirfd`, with attributes `st`, says that the name is deleted.
bool IsStackWhiteout(int dirfd, const std::string& name, const struct stat& st);
// Whether AUFS' form says so of the layers below: by a neighbour of the entry.
bool HidesBelow(int dirfd, const std::string& name);

}  // namespace veneer::fs
