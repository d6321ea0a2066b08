#include "store/build_cache.h"

#include <algorithm>
#include <ctime>
#include <set>
#include <utility>

#include "store/base/digest.h"
#include "store/cache_ledger.h"
#include "store/lease.h"
#include "store/maintenance.h"

namespace veneer {
namespace {

constexpr const char* kRegular = "regular";
constexpr const char* kCacheMount = "exec.cachemount";

BuildCacheEntry EntryOf(const CacheLedger& ledger, size_t index) {
  const BuildRecord& record = ledger.records()[index];
  return {.id = record.key.Hex(),
          .type = kRegular,
          .description = record.description,
          .created_at = record.created_at,
          .last_used_at = record.last_used_at,
          .uses = record.uses,
          .bytes = ledger.LayerBytes(index),
          .shared = ledger.IsShared(index)};
}

BuildCacheEntry EntryOf(const CacheMountInfo& mount) {
  return {.id = mount.folder,
          .type = kCacheMount,
          .description = "cached mount " + mount.id,
          .created_at = mount.created_at,
          .last_used_at = mount.last_used_at,
          .uses = mount.uses,
          .bytes = mount.bytes,
          .in_use = mount.in_use};
}

// All of the cache, at one moment.
struct Contents {
  static Result<Contents> Read(Store& store) {
    TRY_ASSIGN(WorkLease lease, WorkLease::Shared(store.root_fd()));
    TRY_ASSIGN(CacheLedger ledger, CacheLedger::Read(store));
    TRY_ASSIGN(auto mounts, CacheMounts(store));
    return Contents{std::move(ledger), std::move(mounts)};
  }
  CacheLedger ledger;
  std::vector<CacheMountInfo> mounts;
};

// Something that may go. A record, or else a cache mount.
struct Candidate {
  BuildCacheEntry entry;
  int64_t last_use = 0;
  size_t depth = 0;  // layers of a record: what builds upon another goes before it
  bool is_record = false;
  size_t index = 0;  // of it among its kind
};

bool IsWanted(const BuildCachePrune& what, const Candidate& candidate, int64_t now) {
  const BuildCacheEntry& entry = candidate.entry;
  if (entry.in_use) return false;
  if (what.unused_for && now - candidate.last_use < *what.unused_for) return false;
  if (!what.type.empty() && entry.type != what.type) return false;
  if (!entry.id.starts_with(what.id)) return false;
  if (entry.shared && (what.keep_shared || what.keep_bytes)) return false;
  return entry.description.find(what.description_contains) != std::string::npos;
}

// In the order in which they go.
std::vector<Candidate> CandidatesOf(const Contents& contents, const BuildCachePrune& what) {
  const int64_t now = std::time(nullptr);
  std::vector<Candidate> all;
  auto add = [&](Candidate candidate) {
    if (IsWanted(what, candidate, now)) all.push_back(std::move(candidate));
  };
  const CacheLedger& ledger = contents.ledger;
  for (size_t i = 0; i < ledger.records().size(); ++i) {
    add({EntryOf(ledger, i), ledger.LastUse(i), ledger.records()[i].layers.size(), true, i});
  }
  for (size_t i = 0; i < contents.mounts.size(); ++i) {
    add({EntryOf(contents.mounts[i]), contents.mounts[i].last_used_at, 0, false, i});
  }
  std::stable_sort(all.begin(), all.end(), [](const Candidate& a, const Candidate& b) {
    return std::pair(a.last_use, b.depth) < std::pair(b.last_use, a.depth);
  });
  return all;
}

}  // namespace

Result<std::vector<BuildCacheEntry>> BuildCacheEntries(Store& store) {
  TRY_ASSIGN(Contents contents, Contents::Read(store));
  std::vector<BuildCacheEntry> entries;
  entries.reserve(contents.ledger.records().size() + contents.mounts.size());
  for (size_t i = 0; i < contents.ledger.records().size(); ++i) {
    entries.push_back(EntryOf(contents.ledger, i));
  }
  for (const CacheMountInfo& mount : contents.mounts) entries.push_back(EntryOf(mount));
  std::stable_sort(entries.begin(), entries.end(),
                   [](const auto& a, const auto& b) { return a.last_used_at > b.last_used_at; });
  return entries;
}

Result<BuildCachePruned> PruneBuildCache(Store& store, const BuildCachePrune& what) {
  TRY_ASSIGN(Contents contents, Contents::Read(store));
  uint64_t bytes = contents.ledger.bytes();
  for (const CacheMountInfo& mount : contents.mounts) bytes += mount.bytes;

  std::vector<BuildCacheEntry> records, mounts;
  std::vector<std::string> folders;
  for (Candidate& candidate : CandidatesOf(contents, what)) {
    if (what.keep_bytes && bytes <= *what.keep_bytes) break;
    if (candidate.is_record) {
      bytes -= contents.ledger.bytes();
      contents.ledger.Remove(candidate.index);
      bytes += contents.ledger.bytes();
      records.push_back(std::move(candidate.entry));
    } else {
      bytes -= candidate.entry.bytes;
      folders.push_back(candidate.entry.id);
      mounts.push_back(std::move(candidate.entry));
    }
  }

  BuildCachePruned pruned;
  TRY_ASSIGN(RemovedCacheMounts gone, RemoveCacheMounts(store, folders));
  // Somebody may have begun to use one meanwhile.
  const std::set<std::string> gone_folders(gone.folders.begin(), gone.folders.end());
  std::erase_if(mounts, [&](const auto& mount) { return !gone_folders.contains(mount.id); });
  TRY(store.catalog().InTransaction([&]() -> Result<> {
    for (const BuildCacheEntry& record : records) {
      TRY_ASSIGN(Digest key, Digest::ParseHex(record.id));
      TRY(store.catalog().DeleteBuildRecord(key));
    }
    return {};
  }));
  TRY_ASSIGN(SweepReport swept, Sweep(store));
  pruned.bytes = gone.bytes + swept.bytes;
  pruned.removed = std::move(records);
  pruned.removed.insert(pruned.removed.end(), std::make_move_iterator(mounts.begin()),
                        std::make_move_iterator(mounts.end()));
  return pruned;
}

}  // namespace veneer
