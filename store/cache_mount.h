// Cache mounts: the directories of `RUN --mount=type=cache`, which keep what a step wrote for the
// next one.
//
// One folder each below `cache-mounts/` (docs/store-layout.md "Build cache"), without rows. A user
// holds its folder's flock: shared, or exclusively. Who chooses, makes or removes a folder holds
// the lock `leases/cache-mounts` meanwhile, but neither while a folder is filled nor while it is
// waited for. All of it may be called by several threads and processes at once.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "store/base/result.h"
#include "store/base/unique_fd.h"
#include "store/store.h"

namespace veneer {

// A directory of `RUN --mount=type=cache`, for as long as one step uses it.
class CacheMount {
 public:
  enum class Sharing { kShared, kPrivate, kLocked };
  // The directory of `id`, made with `fill` when it is new (given its path; may be empty), which is
  // not its final one; a directory that could not be filled is none.
  // kShared joins those that use one shared already; kPrivate takes a directory that nobody uses,
  // another one if need be; kLocked too, but waits while there is one and it is in use, asking
  // `give_up` (may be empty) now and then. Errors: ECANCELED; those of `fill`.
  static Result<CacheMount> Open(Store& store, const std::string& id, Sharing sharing,
                                 const std::function<Result<>(const std::string& path)>& fill,
                                 const std::function<bool()>& give_up);
  const std::string& path() const { return path_; }  // absolute

 private:
  CacheMount(std::string path, UniqueFd lock) : path_(std::move(path)), lock_(std::move(lock)) {}
  std::string path_;
  UniqueFd lock_;  // flocked: shared, or exclusive
};

struct CacheMountInfo {
  std::string folder;      // its name in `cache-mounts/`
  std::string id;          // empty: unknown
  int64_t created_at = 0;  // seconds since the epoch
  int64_t last_used_at = 0;
  int64_t uses = 0;
  bool in_use = false;
  uint64_t bytes = 0;  // on disk
};
// All of them, by the names of their folders.
Result<std::vector<CacheMountInfo>> CacheMounts(Store& store);

struct RemovedCacheMounts {
  std::vector<std::string> folders;
  uint64_t bytes = 0;  // freed on disk
};
// Removes those of `folders` that nobody uses.
Result<RemovedCacheMounts> RemoveCacheMounts(Store& store, const std::vector<std::string>& folders);

}  // namespace veneer
