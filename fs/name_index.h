// NameIndex: the names of one merged directory of a stack, read once from all its layers: what
// shows, and which layers have it. NameIndexCache: a bounded number of them.
//
// What a layer's directory says of a name is that it is there, and its type; attributes are not
// looked at. So an empty regular file counts as one even if an attribute makes it a whiteout,
// unless whoever lists knows better, and a directory may yet turn out to be opaque or redirected.
//
// An index does not change once it is built, and may be read by all threads. Building needs memory
// and throws std::bad_alloc where there is none.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "store/base/mutex.h"

namespace veneer::fs {

class NameIndex {
 public:
  // What shows under a name: the first of the directory's parts that has it. For a directory,
  // Below() leads to the next part that has one to merge with it.
  struct Place {
    size_t part = 0;
    uint8_t type = 0;  // DT_*
    uint64_t ino = 0;
    uint32_t below = 0;
  };
  std::optional<Place> Find(std::string_view name) const;
  std::optional<Place> Below(const Place& place) const;

  // Every name that shows, in the order in which they were added. `visit(name, place)` returns
  // false to stop.
  template <typename Visit>
  void ForEach(const Visit& visit) const {
    for (const Slot& slot : slots_) {
      if (slot.state != State::kHidden && !visit(NameOf(slot), PlaceOf(slot))) return;
    }
  }
  // What it takes of a NameIndexCache's room, in names: hidden ones count, and itself as some.
  size_t size() const { return kSelf + slots_.size() + links_.size(); }

  class Builder;

 private:
  static constexpr uint32_t kNone = UINT32_MAX;
  static constexpr size_t kSelf = 4;
  enum class State : uint8_t {
    kMerging,  // a directory so far
    kClosed,   // a file, or a directory that ends: what other layers have below it does not show
    kHidden,   // deleted by a whiteout
  };
  struct Slot {
    uint64_t ino;
    uint32_t text;  // where in text_ the name is
    uint32_t part;
    uint32_t below;  // in links_
    uint16_t length;
    uint8_t type;
    State state;
  };
  struct Link {
    uint32_t part;
    uint32_t below;
  };

  std::string_view NameOf(const Slot& slot) const {
    return std::string_view(text_).substr(slot.text, slot.length);
  }
  static Place PlaceOf(const Slot& slot) { return {slot.part, slot.type, slot.ino, slot.below}; }
  // Where in table_ the name is, or has its place.
  size_t TablePlace(std::string_view name) const;

  std::string text_;
  std::vector<Slot> slots_;
  std::vector<Link> links_;
  std::vector<uint32_t> table_;  // open addressing: slots, or kNone; a power of two
};

// Takes the parts of a directory, the topmost first. Not thread-safe.
class NameIndex::Builder {
 public:
  Builder() : index_(std::make_shared<NameIndex>()) {}
  // What follows is in the next part.
  void NextPart();
  void Add(std::string_view name, uint64_t ino, uint8_t type);
  void AddWhiteout(std::string_view name);
  // AUFS: of this name nothing shows from the parts below.
  void HideBelow(std::string_view name) { hidden_.emplace_back(name); }
  std::shared_ptr<const NameIndex> Build();

 private:
  Slot* Find(std::string_view name);
  Slot& Insert(std::string_view name);
  void Grow();
  void MergeWith(Slot& slot);

  std::shared_ptr<NameIndex> index_;
  uint32_t part_ = kNone;
  std::vector<uint32_t> last_;       // of each slot, its last link
  std::vector<std::string> hidden_;  // by the part that is being read
};

// Thread-safe, sharded; what was not asked for lately goes first.
class NameIndexCache {
 public:
  // Keeps indexes of `capacity` names together, at some 50 bytes a name.
  explicit NameIndexCache(size_t capacity) : capacity_(capacity) {}

  std::shared_ptr<const NameIndex> Get(uint64_t key);
  // False: it is too large to be kept.
  bool Put(uint64_t key, std::shared_ptr<const NameIndex> index);
  void Erase(uint64_t key);
  size_t size() const { return size_.load(std::memory_order_relaxed); }  // names

 private:
  static constexpr size_t kShards = 16;
  struct Slot {
    std::shared_ptr<const NameIndex> index;
    bool used = true;  // since the clock hand last passed
  };
  struct Shard {
    Mutex mu;
    std::unordered_map<uint64_t, Slot> slots GUARDED_BY(mu);
  };
  Shard& ShardOf(uint64_t key) { return shards_[key % kShards]; }
  void Evict(Shard& shard);

  const size_t capacity_;
  std::atomic<size_t> size_{0};
  std::atomic<size_t> hand_{0};  // the shard to evict from next
  std::array<Shard, kShards> shards_;
};

}  // namespace veneer::fs
