// Picker: chooses names, descriptors and numbers for an operation from what the model says exists,
// so that most operations succeed and the rest fail in interesting ways.
#pragma once

#include <optional>
#include <string>

#include "tests/differential/model.h"
#include "tests/differential/op.h"
#include "tests/differential/random.h"

namespace veneer::differential {

inline constexpr int64_t kPage = 4096;
inline constexpr int64_t kMaxSize = 1300000;      // files do not grow past it by much
inline constexpr int64_t kLargeSize = 2LL << 20;  // only the lower's largest files are

class Picker {
 public:
  using Filter = bool (*)(const Node&);

  // Both must outlive it.
  Picker(Random& random, const Model& model) : random_(random), model_(model) {}

  // A name that exists and suits `filter`, and the op's worker as far as can be told. Sets op.path
  // (or `out`), and op.at when it begins at a directory that the worker has open.
  const Node* Name(Op& op, std::string& out, Filter filter, bool own = false);
  // A name that does not exist yet (mostly), in a directory the worker may write to.
  bool NewName(Op& op, std::string& out);

  // A worker and slot whose descriptor suits `filter`.
  struct Chosen {
    int worker;
    int slot;
    const Model::Slot* entry;
  };
  std::optional<Chosen> Slot(bool (*filter)(const Model::Slot&));
  int FreeSlot(int worker);

  int64_t Length();
  int64_t Offset(int64_t size);  // in a file of `size` bytes, or somewhat behind its end

  bool MayWrite(int worker, const Node& node) const;

 private:
  bool Owns(int worker, const Node& node) const;
  const Node* Dir(const Op& op);
  std::string AnyName();

  Random& random_;
  const Model& model_;
};

}  // namespace veneer::differential
