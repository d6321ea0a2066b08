#include "tests/differential/coverage.h"

#include <fmt/format.h>

#include <string_view>

namespace veneer::differential {

namespace {

constexpr std::array<std::string_view, kFileStates> kTitles = {
    "missing", "lower",  "meta",   "upper",  "new",   "dir",     "special",
    "open-r",  "open-w", "mapped", "linked", "moved", "nameless"};

constexpr uint32_t Bit(FileState state) { return 1U << static_cast<unsigned>(state); }

}  // namespace

uint32_t Coverage::StatesOf(const Model& model, const Op& op) {
  if (op.kind >= OpKind::kCheck) return 0;
  Place target = model.TargetOf(op);
  const Node* node = target.node.get();
  if (node == nullptr) return Bit(FileState::kMissing);
  uint32_t states = 0;
  if (node->IsDir()) {
    states |= Bit(FileState::kDirectory);
  } else if (!node->IsReg()) {
    states |= Bit(FileState::kSpecial);
  }
  if (!node->lower) {
    states |= Bit(FileState::kNew);
  } else if (node->data) {
    states |= Bit(FileState::kUpper);
  } else {
    states |= Bit(node->meta ? FileState::kMetaOnly : FileState::kLower);
  }
  if (node->readers > 0) states |= Bit(FileState::kOpenRead);
  if (node->writers > 0) states |= Bit(FileState::kOpenWrite);
  if (node->maps > 0) states |= Bit(FileState::kMapped);
  if (!node->IsDir() && node->links > 1) states |= Bit(FileState::kLinked);
  if (node->links == 0 && node != model.root().get()) states |= Bit(FileState::kNameless);
  const Node* dir = node->IsDir() ? node : target.dir.get();
  if (dir != nullptr && model.UnderMoved(dir)) states |= Bit(FileState::kMovedDir);
  return states;
}

void Coverage::Count(const Op& op, uint32_t states, bool succeeded) {
  Row& row = rows_[static_cast<size_t>(op.kind)];
  ++row.total;
  if (op.kind < OpKind::kCheck) {
    ++total_;
    if (succeeded) ++succeeded_;
  }
  if (succeeded) ++row.succeeded;
  for (size_t i = 0; i < kFileStates; ++i) {
    if ((states >> i & 1) != 0 && (succeeded || i == 0)) ++row.by_state[i];
  }
}

void Coverage::Add(const Coverage& other) {
  total_ += other.total_;
  succeeded_ += other.succeeded_;
  for (size_t i = 0; i < kOpKinds; ++i) {
    rows_[i].total += other.rows_[i].total;
    rows_[i].succeeded += other.rows_[i].succeeded;
    for (size_t k = 0; k < kFileStates; ++k) rows_[i].by_state[k] += other.rows_[i].by_state[k];
  }
}

std::string Coverage::Table() const {
  std::string text = fmt::format("{:<12}{:>9}{:>5}", "operation", "total", "ok%");
  for (std::string_view title : kTitles) text += fmt::format("{:>9}", title);
  text += '\n';
  for (size_t i = 0; i < kOpKinds; ++i) {
    const Row& row = rows_[i];
    if (row.total == 0) continue;
    text += fmt::format("{:<12}{:>9}{:>5}", OpName(static_cast<OpKind>(i)), row.total,
                        row.succeeded * 100 / row.total);
    for (uint64_t count : row.by_state) text += fmt::format("{:>9}", count);
    text += '\n';
  }
  text += fmt::format("{} operations, {} % succeeded; successes by the state of the file before\n",
                      total_, total_ == 0 ? 0 : succeeded_ * 100 / total_);
  return text;
}

}  // namespace veneer::differential
