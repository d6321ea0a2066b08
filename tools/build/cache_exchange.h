// --cache-to and --cache-from: build records and their layers in an OCI layout.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "store/base/digest.h"
#include "store/base/result.h"
#include "store/store.h"

namespace veneer::build {

struct CacheLocation {
  std::string directory;  // type=local,dest=DIR or src=DIR
  bool all_stages = false;  // mode=max: not only the steps of the result
};

// Errors (EINVAL): unknown types and keys; type=registry, gha, s3, azblob (ENOTSUP); inline is
// taken and does nothing.
Result<std::vector<CacheLocation>> ParseCacheLocations(const std::vector<std::string>& texts,
                                                       bool is_export);

// Writes the records `keys` and their layers, zstd-compressed blobs, into the layout; replaces what
// an earlier export put there.
Result<> ExportCache(Store& store, const std::vector<Digest>& keys, const CacheLocation& to);

// Loads records and layers of the layout into the store, as if they had been built here. A directory
// that is missing is a warning of the caller's: ENOENT.
Result<> ImportCache(Store& store, const CacheLocation& from);

}  // namespace veneer::build
