// Listings: a directory's entries as they were at one moment, by position; and the cache of those
// in use, since the kernel asks for a listing piece by piece and names no reader.
//
// The place of a name in a directory never changes, whatever comes and goes: so any listing of the
// directory goes on where another one stopped. Names of the lower are at their place in the lower's
// listing, which keeps the order their files are stored in; others behind, at a hash of the name.
//
// A position is a place and when it was listed. The kernel caches listings, and goes on in its
// cache where that has the position in question: it may have begun it before a change, for a reader
// who never came to the end, and add to it later. What was listed since then has other positions.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "fs/types.h"
#include "store/base/mutex.h"

namespace veneer::fs {

// Positions as seekdir(3) has them: what is at one is found by asking for what is behind the one
// before. 0 is the start.
namespace position {
inline constexpr uint64_t kDot = 1;
inline constexpr uint64_t kDotDot = 2;
inline constexpr uint64_t kFirstOfLower = 3;
inline constexpr int kPlaceBits = 46;
inline constexpr uint64_t kFirstOfUpper = uint64_t{1} << (kPlaceBits - 1);
// The place of a name that the lower has not. `seed`: a mount's own.
uint64_t PlaceInUpper(std::string_view name, uint64_t seed);
}  // namespace position

struct Listing {
  struct Item {
    uint64_t place = 0;
    DirItem entry;
  };
  uint64_t changes = 0;     // DirState::changes when it was read
  std::vector<Item> items;  // by place, each greater than the one before

  // Where the items behind position `offset` begin: of this listing, or of another one.
  std::vector<Item>::const_iterator Behind(uint64_t offset) const;
  // True where a reader at `offset` has begun with another listing.
  bool IsOlder(uint64_t offset) const {
    return offset != 0 && offset >> position::kPlaceBits != (changes & 0xffff);
  }
  // True where the kernel's copy of all of it ends with a page. It then takes a position that it
  // has not for the end, instead of asking for what is there (fs/fuse/readdir.c).
  bool EndsWithAPage() const;
  // Behind `item`. 16 bits of `changes` are enough to tell listings apart that live at one time.
  uint64_t PositionOf(const Item& item) const {
    return (changes & 0xffff) << position::kPlaceBits | item.place;
  }
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
