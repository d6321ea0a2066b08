// --filter of `builder prune` and `builder du`.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "store/base/result.h"
#include "store/build_cache.h"

namespace veneer::build {

// What entries have to be, in all of it.
struct CacheFilter {
  std::optional<int64_t> unused_for;   // until=24h, unused-for=24h: seconds
  std::string id;                      // id=: the entry's, or a prefix of it
  std::string type;                    // type=regular, type=exec.cachemount
  std::string description;             // description~=: contains
  std::optional<bool> in_use, shared;  // inuse, shared, private (not shared)

  // "KEY", "KEY=VALUE", "KEY~=VALUE". Errors (EINVAL): unknown keys and types, a key given twice, a
  // duration that is none.
  static Result<CacheFilter> Parse(const std::vector<std::string>& texts);

  bool Matches(const BuildCacheEntry& entry, int64_t now) const;
};

}  // namespace veneer::build
