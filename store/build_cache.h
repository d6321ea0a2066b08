// The build cache: what a step of a build led to, under the digest of all that it depended on.
//
// Records live in the catalogue (docs/store-layout.md "Build cache"), together with the layers they
// lead to: a sweep keeps these as it keeps those of images. Directories of `RUN
// --mount=type=cache` (store/cache_mount.h) belong to the cache, too. Not thread-safe, as the
// store.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "store/base/result.h"
#include "store/cache_mount.h"
#include "store/store.h"

namespace veneer {

// What `builder prune` may take.
struct BuildCachePrune {
  // Only records and cache mounts that were not used for this many seconds. A record was used when
  // one that builds upon it was.
  std::optional<int64_t> unused_for;
  // Stop once the cache takes no more than this many bytes; the longest unused go first. What an
  // image has, too, takes none, and stays.
  std::optional<uint64_t> keep_bytes;
  // Leave records alone whose layer an image has, too: removing them frees nothing.
  bool keep_shared = false;
  // Empty: any kind. Else those of "regular" (records), "exec.cachemount" (cache mounts).
  std::string type;
  // Empty: any. Else the record's hexadecimal key, or a prefix of it.
  std::string id;
  std::string description_contains;
};

struct BuildCacheEntry {
  std::string id;           // hexadecimal key, or the folder of a cache mount
  std::string type;         // "regular" or "exec.cachemount"
  std::string description;  // "RUN make"; of a cache mount its id and target
  int64_t created_at = 0;   // seconds since the epoch
  int64_t last_used_at = 0;
  int64_t uses = 0;
  uint64_t bytes = 0;   // on disk, of its own (the topmost) layer, whoever shares it; of a cache
                        // mount all that is in it
  bool in_use = false;  // a build that runs has the cache mount
  bool shared = false;  // an image has its layer too: removing it frees nothing
};

// All of the cache, the most recently used first.
Result<std::vector<BuildCacheEntry>> BuildCacheEntries(Store& store);

struct BuildCachePruned {
  std::vector<BuildCacheEntry> removed;
  uint64_t bytes = 0;  // freed on disk, by the sweep too
};
// Removes records and cache mounts, then sweeps, which waits for builds in progress; what they use
// stays.
// REQUIRES: this process holds no WorkLease.
Result<BuildCachePruned> PruneBuildCache(Store& store, const BuildCachePrune& what);

}  // namespace veneer
