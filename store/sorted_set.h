// SortedSet: a set of values in one sorted vector, for the millions of digests a sweep or a check
// goes through: nothing is stored but the values, and repetitions are folded while they come in.
// Not thread-safe.
#pragma once

#include <algorithm>
#include <cstddef>
#include <optional>
#include <vector>

namespace veneer {

// T is ordered by <=>, small, and cheap to copy.
template <typename T>
class SortedSet {
 public:
  void Add(const T& value) {
    values_.push_back(value);
    if (values_.size() >= fold_at_) {
      Seal();
      fold_at_ = std::max(kFirstFold, 2 * values_.size());
    }
  }

  // Makes the set readable. Add may follow, and then Seal again.
  void Seal() {
    std::sort(values_.begin(), values_.end());
    values_.erase(std::unique(values_.begin(), values_.end()), values_.end());
  }

  // What follows REQUIRES: nothing was added since Seal().
  size_t size() const { return values_.size(); }
  const T& operator[](size_t index) const { return values_[index]; }
  auto begin() const { return values_.begin(); }
  auto end() const { return values_.end(); }
  bool Contains(const T& value) const { return IndexOf(value).has_value(); }
  std::optional<size_t> IndexOf(const T& value) const {
    auto it = std::lower_bound(values_.begin(), values_.end(), value);
    if (it == values_.end() || *it != value) return std::nullopt;
    return static_cast<size_t>(it - values_.begin());
  }

 private:
  static constexpr size_t kFirstFold = 1 << 16;
  std::vector<T> values_;
  size_t fold_at_ = kFirstFold;
};

}  // namespace veneer
