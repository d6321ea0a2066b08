// The digest of what a COPY or ADD copies and how: the same on every host, in every order in which
// a directory lists its files, at every time.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "store/base/digest.h"
#include "tools/build/copy/copied_source.h"
#include "tools/build/copy/file_owner.h"
#include "tools/build/copy/mode_change.h"

namespace veneer::build {

struct CopyManner {
  std::string destination;  // as CopyRules have it
  std::optional<FileOwner> owner;
  std::string chmod;
  bool parents = false;
  bool link = false;
};

Digest CopyKey(const CopyManner& manner, const std::vector<CopiedSource>& sources);

}  // namespace veneer::build
