#include "tests/differential/picker.h"

#include <fmt/format.h>

#include <algorithm>

#include "tests/differential/worker.h"

namespace veneer::differential {

bool Picker::Owns(int worker, const Node& node) const {
  return worker < 2 || node.uid == IdentityOf(worker).uid;
}

bool Picker::MayWrite(int worker, const Node& node) const {
  if (worker < 2) return true;
  const Identity& who = IdentityOf(worker);
  if (node.uid == who.uid) return (node.mode & 0200) != 0;
  if (node.gid == who.gid || node.gid == who.other_group) return (node.mode & 020) != 0;
  return (node.mode & 02) != 0;
}

int64_t Picker::Length() {
  uint64_t dice = random_.Below(100);
  if (dice < 2) return 0;
  if (dice < 45) return static_cast<int64_t>(random_.Below(100) + 1);
  if (dice < 60) return kPage * static_cast<int64_t>(random_.Below(4) + 1);
  if (dice < 92) return static_cast<int64_t>(random_.Below(9000));
  return static_cast<int64_t>(random_.Below(60000));
}

int64_t Picker::Offset(int64_t size) {
  int64_t at = 0;
  switch (random_.Below(5)) {
    case 0:
      return 0;
    case 1:
      at = size;
      break;
    case 2:
      at = static_cast<int64_t>(random_.Below(static_cast<uint64_t>(size) + 9000));
      break;
    case 3:
      at = static_cast<int64_t>(random_.Below(static_cast<uint64_t>(size / kPage) + 2)) * kPage;
      break;
    default:
      at = static_cast<int64_t>(random_.Below(static_cast<uint64_t>(size) + 1));
  }
  return std::min(at, std::max(size, kMaxSize));
}

std::string Picker::AnyName() {
  uint64_t dice = random_.Below(1000);
  if (dice < 5) return std::string(255, static_cast<char>('p' + random_.Below(4)));
  if (dice < 8) return std::string(256, 'z');
  if (dice < 11) return fmt::format(".wh.n{}", random_.Below(5));
  if (dice < 15) return fmt::format("name with {}", random_.Below(5));
  return fmt::format("n{}", random_.Below(60));
}

const Node* Picker::Name(Op& op, std::string& out, Filter filter, bool own) {
  // Below a directory that the worker has open, now and then.
  if (&out == &op.path && op.at < 0 && random_.Chance(12)) {
    int slot = static_cast<int>(random_.Below(kSlots));
    const NodePtr& dir = model_.slot(op.worker, slot).node;
    if (dir && dir->IsDir() && !dir->entries.empty()) {
      auto it = dir->entries.begin();
      std::advance(it, static_cast<long>(random_.Below(dir->entries.size())));
      if (filter(*it->second)) {
        op.at = slot;
        out = it->first;
        return it->second.get();
      }
    }
  }
  const auto& names = model_.names();
  if (op.at >= 0 || names.empty()) return nullptr;
  for (int attempt = 0; attempt < 40; ++attempt) {
    const Model::Ref& ref = random_.Pick(names);
    if (!filter(*ref.node)) continue;
    if (own && attempt < 36 && !Owns(op.worker, *ref.node)) continue;
    out = model_.PathOf(ref.dir, *ref.name);
    return ref.node;
  }
  return nullptr;
}

const Node* Picker::Dir(const Op& op) {
  const auto& names = model_.names();
  for (int attempt = 0; attempt < 60 && !names.empty(); ++attempt) {
    const Model::Ref& ref = random_.Pick(names);
    if (!ref.node->IsDir()) continue;
    if (attempt < 55 && !MayWrite(op.worker, *ref.node)) continue;
    // A few directories grow large; most must not.
    if (attempt < 30 && ref.node->entries.size() > 25) continue;
    return ref.node;
  }
  return model_.root().get();
}

bool Picker::NewName(Op& op, std::string& out) {
  const Node* dir = nullptr;
  bool below_slot = false;
  if (op.at >= 0) {
    dir = model_.slot(op.worker, op.at).node.get();
    below_slot = true;
  } else if (&out == &op.path && random_.Chance(10)) {
    int slot = static_cast<int>(random_.Below(kSlots));
    const NodePtr& open = model_.slot(op.worker, slot).node;
    if (open && open->IsDir()) {
      op.at = slot;
      dir = open.get();
      below_slot = true;
    }
  }
  if (dir == nullptr) dir = Dir(op);
  std::string name = AnyName();
  for (int attempt = 0; attempt < 6 && dir->entries.contains(name); ++attempt) name = AnyName();
  if (below_slot) {
    out = name;
    return true;
  }
  std::string prefix;
  if (dir != model_.root().get()) {
    if (dir->parent == nullptr) return false;
    prefix = model_.PathOf(dir->parent, dir->name) + "/";
  }
  out = prefix + name;
  return true;
}

int Picker::FreeSlot(int worker) {
  for (int attempt = 0; attempt < 4; ++attempt) {
    int slot = static_cast<int>(random_.Below(kSlots));
    if (!model_.slot(worker, slot).node) return slot;
  }
  return static_cast<int>(random_.Below(kSlots));
}

std::optional<Picker::Chosen> Picker::Slot(bool (*filter)(const Model::Slot&)) {
  int start = static_cast<int>(random_.Below(kWorkers * kSlots));
  for (int i = 0; i < kWorkers * kSlots; ++i) {
    int at = (start + i) % (kWorkers * kSlots);
    const Model::Slot& entry = model_.slot(at / kSlots, at % kSlots);
    if (filter(entry)) return Chosen{at / kSlots, at % kSlots, &entry};
  }
  return std::nullopt;
}

}  // namespace veneer::differential
