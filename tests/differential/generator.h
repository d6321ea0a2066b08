// Generator: chooses the next operation of a run, from a seed and what the model says exists, so
// that most operations succeed and the rest fail in interesting ways.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "tests/differential/model.h"
#include "tests/differential/op.h"
#include "tests/differential/random.h"

namespace veneer::differential {

class Generator {
 public:
  struct Pace {  // about one in so many operations
    unsigned check = 500;
    unsigned remount = 2500;
    unsigned drop = 1000;        // the mount's caches
    unsigned drop_host = 40000;  // the host's
  };
  Generator(uint64_t seed, const Model& model, Pace pace)
      : random_(seed), model_(model), pace_(pace) {}

  Op Next();

 private:
  using Filter = bool (*)(const Node&);

  std::optional<Op> OnSlot(OpKind kind);
  std::optional<Op> OnMap(OpKind kind);
  std::optional<Op> OnName(OpKind kind);
  std::optional<Op> MakeOpen(Op op);
  std::optional<Op> MakeRename(Op op);
  std::optional<Op> MakeNew(Op op);
  std::optional<Op> MakeXattr(Op op);
  void FillTimes(Op& op);
  void FillLock(Op& op);

  // A name that exists and suits `filter`, and the op's worker as far as can be told. Sets op.path
  // (or `out`).
  const Node* PickName(Op& op, std::string& out, Filter filter, bool own = false);
  // A name that does not exist yet (mostly), in a directory the worker may write to.
  bool PickNewName(Op& op, std::string& out);
  const Node* PickDir(const Op& op);
  std::string NewName();
  bool MayWrite(int worker, const Node& node) const;
  bool Owns(int worker, const Node& node) const;
  int FreeSlot(int worker);
  // A worker and slot whose descriptor suits `filter`.
  struct Chosen {
    int worker;
    int slot;
    const Model::Slot* entry;
  };
  std::optional<Chosen> PickSlot(bool (*filter)(const Model::Slot&));
  int64_t Length();
  int64_t Offset(int64_t size);

  Random random_;
  const Model& model_;
  const Pace pace_;
};

}  // namespace veneer::differential
