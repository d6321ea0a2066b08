// Listings: a directory's entries as they were at one moment, by position; and the cache of those
// in use, since the kernel asks for a listing piece by piece and names no reader.
//
// The position of a name in a directory never changes, whatever comes and goes: so any listing of
// the directory goes on where another one stopped, and the kernel may cache what it has read. Names
// of the lower are at their place in the lower's listing, which keeps the order their files are
// stored in; others behind, at a hash of the name.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "fs/types.h"
#include "store/base/mutex.h"

namespace veneer::fs {

// Positions as seekdir(3) has them; what is at one is found by asking for what is behind the one
// before. 0 is the start.
namespace position {
inline constexpr uint64_t kDot = 1;
inline constexpr uint64_t kDotDot = 2;
inline constexpr uint64_t kFirstOfLower = 3;
inline constexpr uint64_t kFirstOfUpper = uint64_t{1} << 62;
// Of a name that the lower has not. `seed`: a mount's own.
uint64_t OfUpper(std::string_view name, uint64_t seed);
}  // namespace position

struct Listing {
  struct Item {
    uint64_t position = 0;
    DirItem entry;
  };
  uint64_t changes = 0;     // DirState::changes when it was read
  std::vector<Item> items;  // by position, each greater than the one before

  // Where the items behind position `offset` begin.
  std::vector<Item>::const_iterator Behind(uint64_t offset) const;
};
using ListingPtr = std::shared_ptr<const Listing>;

// The listings read last. Thread-safe.
class ListingCache {
 public:
  // nullptr where there is none.
  ListingPtr Get(NodeId dir);
  // In place of an older one of `dir`.
  void Put(NodeId dir, ListingPtr listing);
  void Drop(NodeId dir);

 private:
  static constexpr size_t kMost = 16;
  struct Slot {
    NodeId dir = {};
    ListingPtr listing;
    uint64_t used = 0;
  };
  Slot* Find(NodeId dir) REQUIRES_LOCK(mu_);

  Mutex mu_;
  uint64_t clock_ GUARDED_BY(mu_) = 0;
  std::array<Slot, kMost> slots_ GUARDED_BY(mu_);
};

}  // namespace veneer::fs
