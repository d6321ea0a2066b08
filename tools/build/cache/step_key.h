// Keys of the build cache: the digest of all that a step's result depends on.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "store/base/digest.h"

namespace veneer::build {

// Hashes fields so that no two lists of fields give the same bytes: each has its length before it.
class StepKey {
 public:
  // `kind`: what the key is of ("run"). Its version is in it: a change of the rules is a new one.
  explicit StepKey(std::string_view kind) { Add(kind); }

  StepKey& Add(std::string_view field);
  StepKey& Add(std::span<const std::string> fields);  // and how many there are
  StepKey& AddNumber(int64_t number);
  StepKey& AddOptional(const std::optional<int64_t>& number);
  // What the step is on; no layers are a chain, too.
  StepKey& AddChain(std::span<const DiffId> layers);
  Digest Finish() { return hash_.Finish(); }

 private:
  Sha256 hash_;
};

}  // namespace veneer::build
