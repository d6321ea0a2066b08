// Generator: chooses what a run does next, from a seed: how often each operation comes, and that
// the tree stays about as large as it began. With which arguments: arguments.h.
#pragma once

#include "tests/differential/arguments.h"
#include "tests/differential/model.h"
#include "tests/differential/op.h"
#include "tests/differential/random.h"

namespace veneer::differential {

class Generator {
 public:
  struct Pace {  // about one in so many operations
    unsigned check = 1000;
    unsigned remount = 2500;
    unsigned drop = 1500;        // the mount's caches
    unsigned drop_host = 40000;  // the host's
  };
  Generator(uint64_t seed, const Model& model, Pace pace)
      : random_(seed), model_(model), pace_(pace), arguments_(random_, model) {}
  Generator(const Generator&) = delete;
  Generator& operator=(const Generator&) = delete;

  Op Next();

 private:
  Random random_;
  const Model& model_;
  const Pace pace_;
  Arguments arguments_;
};

}  // namespace veneer::differential
