// OpenModes: decides for each open of a file whether the kernel reads and writes the host's file
// itself (passthrough) or goes through its own page cache and the daemon (cached).
//
// The kernel allows a file one of the two at a time, and one backing file while it is passthrough.
// A node's states, by what is open:
//
//            open, data is final ──▶ kPassthrough(n, backing) ──last release──▶ kIdle, pages stale
//            if written
//   kIdle
//            open otherwise ───────▶ kCached(n) ─────────────────last release──▶ kIdle
//
// While not idle every further open joins the state. Data is final when no copy-up can replace the
// descriptor: a file of the upper, or any file of a read-only mount. A file opened cached after
// having been written through passthrough must not use pages cached before: the first such open
// drops them. Thread-safe; one lock per shard of nodes.
#pragma once

#include <array>
#include <functional>
#include <unordered_map>
#include <vector>

#include "fs/types.h"
#include "store/base/mutex.h"

namespace veneer::fs {

class OpenModes {
 public:
  struct Opened {
    int backing_id = 0;  // above 0: passthrough
    bool keep_pages = true;
    bool first_writer = false;  // attributes may change unseen from now on
  };
  // Counts one more open of `node`. `final_fd` is its final data, or -1; `add` registers a
  // descriptor as a backing file and returns its ID, or 0 where that fails (the open is cached
  // then).
  Opened Open(NodeId node, bool writable, int final_fd, const std::function<int(int fd)>& add);

  struct Closed {
    int backing_id = 0;        // above 0: nobody uses it any more
    bool last_writer = false;  // attributes may have changed unseen until now
  };
  Closed Close(NodeId node, bool writable, bool passthrough);

  // True while writes may change the node's attributes without the daemon knowing (mappings of
  // passthrough files).
  bool ChangesUnseen(NodeId node);

  // Nodes with writable cached handles: mappings of these may have changed pages that only the
  // kernel has.
  std::vector<NodeId> CachedWriters();

  // The kernel has forgotten the node, and its pages.
  void Forget(NodeId node);

 private:
  static constexpr size_t kShards = 32;
  struct State {
    unsigned cached = 0;          // handles; not both of these
    unsigned passthrough = 0;     //
    unsigned writers = 0;         // of the passthrough handles
    unsigned cached_writers = 0;  // of the cached ones
    int backing_id = 0;
    bool stale_pages = false;
  };
  struct Shard {
    Mutex mu;
    std::unordered_map<uint64_t, State> nodes GUARDED_BY(mu);
  };
  Shard& ShardOf(NodeId node) { return shards_[static_cast<uint64_t>(node) % kShards]; }

  std::array<Shard, kShards> shards_;
};

}  // namespace veneer::fs
