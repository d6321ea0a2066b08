// --cache-to and --cache-from: build records and their layers in an OCI layout on the host
// (docs/build-cache-format.md).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "store/base/digest.h"
#include "store/base/result.h"
#include "store/store.h"

namespace veneer::build {

struct CacheLocation {
  std::string directory;      // type=local,dest=DIR or src=DIR
  bool all_stages = false;    // mode=max: not only the steps of the result
  bool ignore_error = false;  // an export that fails does not fail the build
};

// The values of --cache-to (`is_export`) or --cache-from. Errors (EINVAL): unknown types and keys;
// type=registry, also as a bare reference, gha, s3, azblob (ENOTSUP); so is inline for
// --cache-to; for --cache-from it is taken and does nothing, as is an empty value.
Result<std::vector<CacheLocation>> ParseCacheLocations(const std::vector<std::string>& texts,
                                                       bool is_export);

// Writes the records `keys` (those the store has) and their layers, zstd-compressed blobs, into the
// layout, which is made where missing; replaces what an earlier export put there, and uses its
// blobs again. A reader at any moment, also after a crash, sees the earlier export or this one.
// ENOTEMPTY: there is something else in the directory.
Result<> ExportCache(Store& store, const std::vector<Digest>& keys, const CacheLocation& to);

// Loads records and layers of the layout into the store, as if they had been built here: those it
// does not have. Every blob that is read is verified (size, digest, DiffID); one that is damaged is
// an error (EBADMSG) that names it, and nothing is loaded then. ENOENT, which is a warning of the
// caller's: there is no such directory, or nothing in it.
Result<> ImportCache(Store& store, const CacheLocation& from);

}  // namespace veneer::build
