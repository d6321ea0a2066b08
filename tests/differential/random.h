// Random: seeded choices, the same everywhere (the standard's distributions are not).
#pragma once

#include <cstdint>
#include <random>
#include <vector>

namespace veneer::differential {

class Random {
 public:
  explicit Random(uint64_t seed) : engine_(seed) {}

  uint64_t Below(uint64_t bound) { return bound == 0 ? 0 : engine_() % bound; }
  bool Chance(unsigned percent) { return Below(100) < percent; }
  template <typename T>
  const T& Pick(const std::vector<T>& from) {  // REQUIRES: not empty
    return from[Below(from.size())];
  }
  template <typename T, size_t N>
  const T& Pick(const T (&from)[N]) {
    return from[Below(N)];
  }

 private:
  std::mt19937_64 engine_;
};

}  // namespace veneer::differential
