// builder prune, builder du.
#include "tools/build/cmd_builder.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "store/build_cache.h"
#include "tools/build/cache/cache_filter.h"
#include "tools/build/cmd_build.h"
#include "tools/build/language/go_number.h"
#include "tools/table.h"
#include "tools/units.h"

namespace veneer::build {
namespace {

using tools::FormatLocalTime;
using tools::HumanSince;
using tools::HumanSize;
using tools::Json;

constexpr size_t kIdLength = 25;  // as BuildKit's are; enough to tell one by

Json RowOf(const BuildCacheEntry& entry, int64_t now) {
  return {{"ID", entry.id.substr(0, kIdLength)},
          {"FullID", entry.id},
          {"Type", entry.type},
          {"Description", entry.description},
          {"Reclaimable", entry.in_use ? "false" : "true"},
          {"Shared", entry.shared ? "true" : "false"},
          {"InUse", entry.in_use ? "true" : "false"},
          {"Size", HumanSize(entry.bytes) + (entry.shared ? "*" : "")},
          {"CreatedAt", FormatLocalTime(entry.created_at)},
          {"CreatedSince", HumanSince(entry.created_at, now)},
          {"LastAccessed", HumanSince(entry.last_used_at, now)},
          {"UsageCount", std::to_string(entry.uses)}};
}

Result<std::string> Table(const std::vector<BuildCacheEntry>& entries, const std::string& format) {
  const int64_t now = std::time(nullptr);
  std::vector<Json> rows;
  rows.reserve(entries.size());
  for (const BuildCacheEntry& entry : entries) rows.push_back(RowOf(entry, now));
  return tools::FormatRows(format, "table {{.ID}}\t{{.Reclaimable}}\t{{.Size}}\t{{.LastAccessed}}",
                           {{"ID", "ID"},
                            {"FullID", "ID"},
                            {"Type", "TYPE"},
                            {"Description", "DESCRIPTION"},
                            {"Reclaimable", "RECLAIMABLE"},
                            {"Shared", "SHARED"},
                            {"InUse", "IN USE"},
                            {"Size", "SIZE"},
                            {"CreatedAt", "CREATED AT"},
                            {"CreatedSince", "CREATED"},
                            {"LastAccessed", "LAST ACCESSED"},
                            {"UsageCount", "USAGE COUNT"}},
                           rows);
}

std::string Details(const std::vector<BuildCacheEntry>& entries) {
  const int64_t now = std::time(nullptr);
  std::string out;
  for (const BuildCacheEntry& entry : entries) {
    out += fmt::format(
        "ID:\t\t{}\nCreated at:\t{}\nReclaimable:\t{}\nShared:\t\t{}\nSize:\t\t{}\n"
        "Description:\t{}\nUsage count:\t{}\nLast used:\t{}\nType:\t\t{}\n\n",
        entry.id, FormatLocalTime(entry.created_at), !entry.in_use, entry.shared,
        HumanSize(entry.bytes), entry.description, entry.uses, HumanSince(entry.last_used_at, now),
        entry.type);
  }
  return out;
}

std::string Summary(const std::vector<BuildCacheEntry>& entries) {
  uint64_t total = 0, shared = 0, reclaimable = 0;
  for (const BuildCacheEntry& entry : entries) {
    total += entry.bytes;
    if (entry.shared) shared += entry.bytes;
    if (!entry.shared && !entry.in_use) reclaimable += entry.bytes;
  }
  std::string out;
  if (shared > 0)
    out +=
        fmt::format("Shared:\t\t{}\nPrivate:\t{}\n", HumanSize(shared), HumanSize(total - shared));
  return out +
         fmt::format("Reclaimable:\t{}\nTotal:\t\t{}\n", HumanSize(reclaimable), HumanSize(total));
}

struct DiskUsageFlags {
  std::vector<std::string> filters;
  std::string format;
  bool verbose = false;
};

Result<> DiskUsage(tools::Context& context, const DiskUsageFlags& flags) {
  TRY_ASSIGN(const CacheFilter filter, CacheFilter::Parse(flags.filters));
  TRY_ASSIGN(Store * store, context.OpenStore());
  TRY_ASSIGN(std::vector<BuildCacheEntry> entries, BuildCacheEntries(*store));
  const int64_t now = std::time(nullptr);
  std::erase_if(entries, [&](const BuildCacheEntry& e) { return !filter.Matches(e, now); });
  if (flags.verbose) {
    context.Print(Details(entries) + Summary(entries));
    return {};
  }
  TRY_ASSIGN(const std::string table, Table(entries, flags.format));
  context.Print(table);
  if (flags.format.empty()) context.Print(Summary(entries));
  return {};
}

struct PruneFlags {
  std::vector<std::string> filters;
  std::string keep_storage, max_used_space;
  bool all = false, force = false, verbose = false;
};

Result<std::optional<uint64_t>> Bytes(const std::string& text) {
  if (text.empty()) return std::nullopt;
  const std::optional<int64_t> bytes = ParseMemorySize(text);
  if (!bytes) return Invalid("invalid size: '" + text + "'");
  return static_cast<uint64_t>(*bytes);
}

// At the end of input: no.
bool Confirmed(tools::Context& context, bool all) {
  context.Print(fmt::format(
      "WARNING! This will remove all {}build cache. Are you sure you want to continue? [y/N] ",
      all ? "" : "dangling "));
  std::fflush(stdout);
  std::string answer;
  std::getline(std::cin, answer);
  return answer == "y" || answer == "Y" || answer == "yes";
}

Result<BuildCachePrune> WhatToPrune(const PruneFlags& flags) {
  TRY_ASSIGN(const CacheFilter filter, CacheFilter::Parse(flags.filters));
  // What is in use stays anyway, and what is shared is not told from the rest but by --all.
  if (filter.in_use.value_or(false)) return Invalid("what is in use cannot be removed");
  if (filter.shared.value_or(false)) return Invalid("invalid filter 'shared': see --all");
  BuildCachePrune what;
  what.unused_for = filter.unused_for;
  what.keep_shared = !flags.all || filter.shared.has_value();
  what.type = filter.type;
  what.id = filter.id;
  what.description_contains = filter.description;
  TRY_ASSIGN(what.keep_bytes, Bytes(flags.max_used_space));
  TRY_ASSIGN(const auto keep_storage, Bytes(flags.keep_storage));
  if (!what.keep_bytes) what.keep_bytes = keep_storage;
  return what;
}

Result<> Prune(tools::Context& context, const PruneFlags& flags) {
  TRY_ASSIGN(const BuildCachePrune what, WhatToPrune(flags));
  if (!flags.force && !Confirmed(context, flags.all)) return {};
  TRY_ASSIGN(Store * store, context.OpenStore());
  TRY_ASSIGN(const BuildCachePruned pruned, PruneBuildCache(*store, what));
  if (flags.verbose) {
    context.Print(Details(pruned.removed));
  } else if (!pruned.removed.empty()) {
    TRY_ASSIGN(const std::string table, Table(pruned.removed, ""));
    context.Print(table);
  }
  context.Print(fmt::format("Total:\t{}\n", HumanSize(pruned.bytes)));
  return {};
}

void AddDiskUsage(CLI::App& parent, tools::Context& context) {
  auto flags = std::make_shared<DiskUsageFlags>();
  CLI::App* c = parent.add_subcommand("du", "Show what is in the build cache");
  c->add_option("--filter", flags->filters,
                "until=, id=, type=, description~= (contains), inuse, shared, private")
      ->allow_extra_args(false);
  c->add_option("--format", flags->format, "table, json, or a Go template");
  c->add_flag("--verbose", flags->verbose, "All that is known of each entry");
  context.Run(c, [&context, flags] { return DiskUsage(context, *flags); });
}

void AddPrune(CLI::App& parent, tools::Context& context) {
  auto flags = std::make_shared<PruneFlags>();
  CLI::App* c = parent.add_subcommand("prune", "Remove build cache");
  c->add_flag("-a,--all", flags->all, "Also what an image shares: removing it frees nothing now");
  c->add_flag("-f,--force", flags->force, "Do not ask");
  c->add_option("--filter", flags->filters,
                "until=24h (not used for so long), id=, type=, description~= (contains), private")
      ->allow_extra_args(false);
  c->add_option("--keep-storage,--reserved-space", flags->keep_storage,
                "Keep the most recently used of the cache, this much of it: 512MB");
  c->add_option("--max-used-space", flags->max_used_space, "The same");
  c->add_flag("--verbose", flags->verbose, "All that is known of each removed entry");
  context.Run(c, [&context, flags] {
    return context.AsOwner([&]() -> Result<> {
      const Result<> pruned = Prune(context, *flags);
      flags->force = true;  // nobody is asked twice
      return pruned;
    });
  });
}

}  // namespace

void AddBuilderGroup(CLI::App& app, tools::Context& context) {
  CLI::App* builder = app.add_subcommand("builder", "Manage builds")->require_subcommand(1);
  AddBuild(*builder, context);
  AddDiskUsage(*builder, context);
  AddPrune(*builder, context);
}

}  // namespace veneer::build
