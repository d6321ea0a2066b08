#include "store/tree/inode_sorter.h"

#include <algorithm>
#include <tuple>

namespace veneer::tree {

namespace {

// Names of one directory are in the blob in their order, so a name's offset sorts as the name does.
bool Less(const InodeRecord& a, const InodeRecord& b) {
  return std::tie(a.ino, a.parent, a.name) < std::tie(b.ino, b.parent, b.name);
}

}  // namespace

Result<> InodeSorter::Add(const InodeRecord& record) {
  if (batch_.size() == kBatch) TRY(SpillBatch());
  batch_.push_back(record);
  return {};
}

void InodeSorter::SortBatch() {
  if (!std::ranges::is_sorted(batch_, Less)) std::ranges::sort(batch_, Less);
}

Result<> InodeSorter::SpillBatch() {
  SortBatch();
  uint64_t start = spool_.size() / kInodeSize;
  char encoded[kInodeSize];
  for (const InodeRecord& r : batch_) {
    r.Encode(encoded);
    TRY(spool_.Append({encoded, sizeof encoded}));
  }
  uint64_t end = spool_.size() / kInodeSize;
  if (!runs_.empty() && Less(last_spilled_, batch_.front())) {
    runs_.back().end = end;
  } else {
    runs_.push_back({.at = start, .end = end, .buffer = {}});
  }
  last_spilled_ = batch_.back();
  batch_.clear();
  return {};
}

Result<bool> InodeSorter::Refill(SortedRun& run) {
  run.next = 0;
  run.buffer.clear();
  size_t n = std::min<uint64_t>(kReadAhead, run.end - run.at);
  if (n == 0) return false;
  std::string bytes(n * kInodeSize, '\0');
  TRY(spool_.Read(run.at * kInodeSize, bytes.data(), bytes.size()));
  for (size_t i = 0; i < n; ++i) {
    run.buffer.push_back(InodeRecord::Decode(bytes.data() + i * kInodeSize));
  }
  run.at += n;
  return true;
}

Result<> InodeSorter::Drain(const std::function<Result<>(const InodeRecord&)>& take) {
  if (runs_.empty()) {
    SortBatch();
    for (const InodeRecord& r : batch_) TRY(take(r));
    return {};
  }
  if (!batch_.empty()) TRY(SpillBatch());
  batch_.shrink_to_fit();
  std::vector<SortedRun*> heap;
  for (SortedRun& run : runs_) {
    TRY_ASSIGN(bool more, Refill(run));
    if (more) heap.push_back(&run);
  }
  auto later = [](const SortedRun* a, const SortedRun* b) {
    return Less(b->buffer[b->next], a->buffer[a->next]);
  };
  std::ranges::make_heap(heap, later);
  while (!heap.empty()) {
    std::ranges::pop_heap(heap, later);
    SortedRun& run = *heap.back();
    TRY(take(run.buffer[run.next]));
    if (++run.next == run.buffer.size()) {
      TRY_ASSIGN(bool more, Refill(run));
      if (!more) {
        heap.pop_back();
        continue;
      }
    }
    std::ranges::push_heap(heap, later);
  }
  return {};
}

}  // namespace veneer::tree
