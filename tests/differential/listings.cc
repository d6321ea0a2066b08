#include "tests/differential/listings.h"

#include <algorithm>

namespace veneer::differential {

void Listings::Start(Listing& listing) {
  listing.whole = {".", ".."};
  for (const auto& [name, node] : listing.dir->entries) listing.whole.insert(name);
  listing.ever = listing.whole;
}

void Listings::OnName(const Node* dir, const std::string& name, bool added) {
  for (auto& [where, listing] : listings_) {
    if (listing.dir.get() != dir) continue;
    if (added) {
      listing.ever.insert(name);
    } else {
      listing.whole.erase(name);
    }
  }
}

void Listings::OnOpen(int worker, int slot, const NodePtr& node) {
  listings_.erase({worker, slot});
  if (!node || !node->IsDir()) return;
  Listing& listing = listings_[{worker, slot}];
  listing.dir = node;
  Start(listing);
}

void Listings::OnRemount() { listings_.clear(); }

std::optional<std::string> Listings::OnReaddir(const Op& op, size_t side, const Reply& reply) {
  auto it = listings_.find({op.worker, op.slot});
  if (reply.error != 0 || it == listings_.end()) return std::nullopt;
  Listing& listing = it->second;
  std::vector<std::string>& seen = listing.seen[side];
  if (reply.value == 0) {
    std::set<std::string> all(seen.begin(), seen.end());
    for (const std::string& name : listing.whole) {
      if (!all.contains(name)) return "lists no " + name;
    }
    return std::nullopt;
  }
  for (size_t at = 0; at < reply.payload.size();) {
    std::string name = reply.payload.c_str() + at + 1;
    at += name.size() + 2;
    if (!listing.ever.contains(name)) return "lists " + name + ", which is not there";
    if (listing.whole.contains(name) && std::find(seen.begin(), seen.end(), name) != seen.end()) {
      return "lists " + name + " twice";
    }
    seen.push_back(name);
  }
  return std::nullopt;
}

void Listings::OnSeekdir(const Op& op, size_t side, const Reply& reply) {
  auto it = listings_.find({op.worker, op.slot});
  if (reply.error != 0 || it == listings_.end()) return;
  Listing& listing = it->second;
  auto to = static_cast<size_t>(reply.value);
  if (to < listing.seen[side].size()) listing.seen[side].resize(to);
  // Back to the start: a new listing. Either side's worker is at the start now, or was there.
  if (op.off == 0 && side == 1) Start(listing);
}

}  // namespace veneer::differential
