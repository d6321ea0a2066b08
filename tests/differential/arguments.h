// Arguments: makes an operation of a given kind, on something that the model says exists, as a
// worker who may do it, mostly.
#pragma once

#include <optional>

#include "tests/differential/model.h"
#include "tests/differential/op.h"
#include "tests/differential/picker.h"
#include "tests/differential/random.h"

namespace veneer::differential {

class Arguments {
 public:
  // Both must outlive it.
  Arguments(Random& random, const Model& model)
      : random_(random), model_(model), pick_(random, model) {}

  // Nothing when there is nothing to do it on now. REQUIRES: a worker's kind of operation.
  std::optional<Op> For(OpKind kind);

 private:
  std::optional<Op> OnName(OpKind kind);
  std::optional<Op> OnSlot(OpKind kind);
  std::optional<Op> OnMap(OpKind kind);
  std::optional<Op> MakeOpen(Op op);
  std::optional<Op> MakeRename(Op op);
  std::optional<Op> MakeNew(Op op);
  std::optional<Op> MakeXattr(Op op);
  Picker::Filter SomeFile(unsigned percent_regular);
  void FillTimes(Op& op);
  void FillLock(Op& op);

  Random& random_;
  const Model& model_;
  Picker pick_;
};

}  // namespace veneer::differential
