// Listings: checks what readdir gives while names come and go. The two sides list in different
// orders and in chunks of different length, so each is held to POSIX instead: a name that was there
// from the start of a listing to its end comes exactly once, one that was never there does not
// come.
#pragma once

#include <array>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "tests/differential/executor.h"
#include "tests/differential/model.h"
#include "tests/differential/op.h"

namespace veneer::differential {

class Listings {
 public:
  // Of Model::on_name.
  void OnName(const Node* dir, const std::string& name, bool added);
  void OnOpen(int worker, int slot, const NodePtr& node);  // any descriptor; starts a listing
  void OnRemount();

  // What is wrong with the `side`'s (0, 1) answer to a readdir, if anything.
  std::optional<std::string> OnReaddir(const Op& op, size_t side, const Reply& reply);
  void OnSeekdir(const Op& op, size_t side, const Reply& reply);

 private:
  struct Listing {
    NodePtr dir;
    std::set<std::string> whole;  // there all the time, since the start
    std::set<std::string> ever;   // there at some time since the start
    std::array<std::vector<std::string>, 2> seen;
  };
  static void Start(Listing& listing);
  std::map<std::pair<int, int>, Listing> listings_;
};

}  // namespace veneer::differential
