// Objects: file contents named by their SHA-256, one copy per content on the whole host.
//
// ObjectStore reads `objects/ab/cdef…`. ObjectStaging adds: contents are written below one ingest
// directory under their digest, by a thread of its own while the next are read and hashed, made
// durable together, and only then renamed into `objects/`. So a
// name in `objects/` always stands for bytes that were hashed by us and are on disk, and finding it
// is reason enough to trust it, also after a crash (docs/store-layout.md "Publishing").
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "store/base/digest.h"
#include "store/base/result.h"
#include "store/base/sync_set.h"
#include "store/base/unique_fd.h"
#include "store/base/worker.h"

namespace veneer {

class ObjectStore {
 public:
  explicit ObjectStore(int root_fd) : root_fd_(root_fd) {}  // borrowed

  static std::string PathOf(const ObjectId& id);  // "objects/ab/cdef…", relative to the root
  bool Has(const ObjectId& id) const;
  Result<UniqueFd> Open(const ObjectId& id) const;            // O_RDONLY; ENOENT
  Result<uint64_t> AllocatedBytes(const ObjectId& id) const;  // on disk: st_blocks * 512
  Result<> Remove(const ObjectId& id);  // REQUIRES: an exclusive WorkLease; missing is success

  // Calls `visit` for every object present.
  Result<> ForEach(const std::function<Result<>(const ObjectId&)>& visit) const;

 private:
  int root_fd_;
};

// What one ingest adds. Not thread-safe. An error of writing one content may come out of a later
// call; nothing is published then.
class ObjectStaging {
 public:
  // Stages below directory `dir_fd`, which belongs to this ingest alone. All three are borrowed.
  static Result<std::unique_ptr<ObjectStaging>> Create(const ObjectStore& store, int root_fd,
                                                       int dir_fd);

  // One content at a time: Begin, then Write with increasing offsets (what is left out is a hole),
  // then Finish. Content that the store or this staging already has costs no disk space.
  void Begin();
  Result<> Write(uint64_t offset, std::string_view data);
  Result<ObjectId> Finish(uint64_t size);  // `size`: the whole length, holes at the end included

  // The content of `fd` from 0 to `size`, cloned where the filesystem can (FICLONE), else copied;
  // each piece also goes to `tee` in order. A file that got shorter meanwhile reads as zeros. With
  // `own` the file is ours, below the ingest directory, and nobody's later: where it cannot be
  // cloned it may become the object itself (store/own_file.h).
  Result<ObjectId> AddFile(int fd, uint64_t size,
                           const std::function<Result<>(std::string_view)>& tee, bool own = false);

  // To publish is three steps, for which all is done with one SyncSet:
  Result<> AddContents(SyncSet& set);  // 1. what is staged is to be durable first,
  Result<> Name();                     // 2. then it gets its name in `objects/`,
  void AddNames(SyncSet& set);         // 3. and the names are to be durable too.

 private:
  ObjectStaging(const ObjectStore& store, int root_fd, int dir_fd)
      : store_(store), root_fd_(root_fd), dir_fd_(dir_fd), worker_(kMaxWaiting) {}
  static constexpr size_t kMaxWaiting = 4;  // batches: 8 MiB of contents at most
  struct Content {
    ObjectId id;
    std::string bytes;
    UniqueFd file = {};  // an unnamed file that has the content instead, if it is large or sparse
  };

  Result<> Spill();
  Result<> GrowTo(uint64_t size);
  Result<UniqueFd> NewFile();
  Result<> Stage(Content content);
  Result<> Settle();  // all that was given to Stage() is in the staging directory

  // On the worker's thread, or when it rests.
  Result<> Keep(Content& content);
  Result<bool> WriteNew(const Content& content);
  Result<bool> LinkNew(const Content& content);

  const ObjectStore& store_;
  int root_fd_;
  int dir_fd_;
  Sha256 hash_;
  std::string buffer_;          // content so far while it is small and has no holes
  uint64_t end_ = 0;            // where the next byte goes, holes included
  UniqueFd spill_;              // the content once it is large or sparse
  std::vector<Content> batch_;  // not yet given to the worker
  size_t batch_bytes_ = 0;

  // What follows is the worker's until Settle() returns.
  std::vector<ObjectId> staged_;
  // Of the objects relied upon. One that was found there may have got its name from a process that
  // has not made the name durable yet; see AddNames().
  std::set<std::string> folders_;

  Worker worker_;  // last: it ends before what it works on
};

}  // namespace veneer
