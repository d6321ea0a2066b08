// OpenModes: decides for each open of a file whether the kernel reads and writes the host's file
// itself (passthrough) or goes through its own page cache and the daemon (cached).
//
// The kernel allows a file one of the two at a time, and one backing file while it is passthrough.
// A mapping of a cached file keeps its file description, so it counts as open until it is unmapped;
// one of a passthrough file keeps the host's file instead, and may go on when nothing is open. So
// data that is final is passed through whatever the file's mode says: cached pages would miss what
// such a mapping writes. A node's modes, by what is open:
//
//            open, data is final ──▶ kPassthrough(n, backing) ──last release──▶ kIdle, pages stale
//            if written
//   kIdle    open, data is shared ─▶ kShared(n, backing) ────────last release──▶ kIdle
//
//            open otherwise ───────▶ kCached(n) ─────────────────last release──▶ kIdle
//
// What the next open gets is NextMode() of what there is. Data is final when no copy-up can replace
// the descriptor: a file of the upper, or any file of a read-only mount. A file opened cached after
// having been written through passthrough must not use pages cached before: the first such open
// drops them.
//
// Shared data (share_programs) is the lower's, passed through although a copy-up can replace it:
// the kernel lets nobody have the file open any other way meanwhile, so who wants to write is
// refused.
//
// And how long the kernel may keep the node's attributes. It sees writes, in either mode, and asks
// again after one; it does not see what a mapping of a passthrough file changes, nor what becomes
// of the blocks when the host gives data its place on the disk:
//
//   nothing is open to write           kept
//   writers                            kept; when the last one goes, dropped if any were told since
//                                      the first came
//   passthrough, one that may map      not kept; dropped when the first one comes, unless it made
//                                      the file, and when the last one goes
//
// Every transition checks the node's invariant (Sound). Thread-safe; one lock per shard of nodes.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <unordered_map>
#include <vector>

#include "fs/types.h"
#include "store/base/mutex.h"

namespace veneer::fs {

enum class OpenMode : uint8_t { kIdle, kCached, kPassthrough, kShared };

// What a handle may be used for: a shared mapping that can be written needs O_RDWR (mmap(2)).
enum class Access : uint8_t { kRead, kWrite, kMapToWrite };

// What an open gets while the node is in `mode`. Passthrough is only tried: where the kernel does
// not take the backing file, the open is cached.
constexpr OpenMode NextMode(OpenMode mode, bool data_is_final, bool data_is_shared = false) {
  if (mode != OpenMode::kIdle) return mode;
  return data_is_final    ? OpenMode::kPassthrough
         : data_is_shared ? OpenMode::kShared
                          : OpenMode::kCached;
}

class OpenModes {
 public:
  // What is open of one node.
  struct State {
    OpenMode mode = OpenMode::kIdle;
    unsigned handles = 0;
    unsigned writers = 0;      // of these, open to write
    unsigned mappers = 0;      // of these, those that may be mapped to write
    unsigned changers = 0;     // who is about to change the data; see Changing
    int backing_id = 0;        // the one backing file of all passthrough handles
    bool stale_pages = false;  // written through passthrough since pages were last cached
    bool told = false;         // the kernel may keep attributes that writers make untrue

    // The invariant.
    bool Sound() const {
      return mappers <= writers && writers <= handles &&
             (mode == OpenMode::kIdle) == (handles == 0) &&
             (mode == OpenMode::kPassthrough || mode == OpenMode::kShared) == (backing_id > 0) &&
             !(mode == OpenMode::kShared && (writers > 0 || changers > 0)) &&
             !(mode == OpenMode::kCached && stale_pages) && !(told && writers == 0);
    }
    bool ChangesUnseen() const { return mode == OpenMode::kPassthrough && mappers > 0; }
  };

  struct Opened {
    int backing_id = 0;  // above 0: passthrough
    bool keep_pages = true;
    bool drop_attributes = false;  // they may change unseen from here on
  };
  // The node's data for an open.
  struct Data {
    int final_fd = -1;  // or -1
    // For one that only reads: the descriptor of what may be shared now, or -1. Asked only where
    // nothing is open and nobody is about to change the data, which holds until Open is done.
    std::function<int()> share = nullptr;
  };
  // Counts one more open of `node`. `add` registers a descriptor as a backing file and returns its
  // ID, or 0 where that fails (the open is cached then). `made`: it is the first of a file that the
  // kernel does not know yet.
  Opened Open(NodeId node, Access access, bool made, const Data& data,
              const std::function<int(int fd)>& add);

  struct Closed {
    int backing_id = 0;            // above 0: nobody uses it any more
    bool drop_attributes = false;  // those that the kernel was told may be out of date
  };
  Closed Close(NodeId node, Access access, bool passthrough);

  // Where data may be shared: held by who is about to open the node to write, until that is counted
  // as open, or to cut it. Nobody begins to share it meanwhile. Not held(): it is shared now.
  class Changing {
   public:
    Changing(OpenModes& modes, NodeId node);
    ~Changing();
    Changing(const Changing&) = delete;
    Changing& operator=(const Changing&) = delete;
    bool held() const { return held_; }

   private:
    OpenModes& modes_;
    const NodeId node_;
    bool held_ = false;
  };

  // True while writes may change the node's attributes without the kernel knowing (mappings of
  // passthrough files).
  bool ChangesUnseen(NodeId node);
  // The kernel is about to be told the node's attributes: true if it may keep them.
  bool Tell(NodeId node);

  // Nodes with writable cached handles: mappings of these may have changed pages that only the
  // kernel has.
  std::vector<NodeId> CachedWriters();
  bool HasCachedWriter(NodeId node);

  // Nodes whose state broke the invariant, ever. Not 0: a fault of the daemon, which the log tells.
  uint64_t violations() const { return violations_.load(std::memory_order_relaxed); }

  // The kernel has forgotten the node, and its pages.
  void Forget(NodeId node);

 private:
  static constexpr size_t kShards = 32;
  struct Shard {
    Mutex mu;
    std::unordered_map<uint64_t, State> nodes GUARDED_BY(mu);
  };
  static bool IsNothing(const State& state) {
    return state.handles == 0 && state.changers == 0 && !state.stale_pages;
  }
  Shard& ShardOf(NodeId node) { return shards_[static_cast<uint64_t>(node) % kShards]; }

  void Check(NodeId node, const State& state);

  std::array<Shard, kShards> shards_;
  std::atomic<uint64_t> violations_{0};
};

}  // namespace veneer::fs
