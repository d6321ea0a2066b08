#include "tools/history_format.h"

#include <algorithm>

#include "tools/table.h"
#include "tools/units.h"

namespace veneer::tools {
namespace {

constexpr int kCreatedByColumns = 45;

constexpr std::string_view kTableTemplate =
    "table {{.ID}}\t{{.CreatedSince}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}";
constexpr std::string_view kAbsoluteTemplate =
    "table {{.ID}}\t{{.CreatedAt}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}";

struct Entry {
  int64_t created = Timestamp::kNone;
  std::string created_by;
  std::string comment;
  uint64_t size = 0;
};

std::string TextOf(const Json& object, const char* key) {
  const auto member = object.find(key);
  return member != object.end() && member->is_string() ? member->get<std::string>() : "";
}

bool IsEmptyLayer(const Json& entry) {
  const auto member = entry.find("empty_layer");
  return member != entry.end() && member->is_boolean() && member->get<bool>();
}

// Base first.
std::vector<Entry> Entries(const Json& config, std::span<const uint64_t> layer_sizes) {
  std::vector<Entry> entries;
  size_t layer = 0;
  const auto history = config.is_object() ? config.find("history") : config.end();
  if (history != config.end() && history->is_array()) {
    for (const Json& line : *history) {
      if (!line.is_object()) continue;
      Entry entry;
      entry.created = ParseRfc3339(TextOf(line, "created")).value_or(Timestamp()).seconds;
      entry.created_by = TextOf(line, "created_by");
      entry.comment = TextOf(line, "comment");
      if (!IsEmptyLayer(line) && layer < layer_sizes.size()) entry.size = layer_sizes[layer++];
      entries.push_back(std::move(entry));
    }
  }
  for (; layer < layer_sizes.size(); ++layer) entries.push_back({.size = layer_sizes[layer]});
  return entries;
}

}  // namespace

std::vector<Json> HistoryRows(std::string_view image_id, const Json& config,
                              std::span<const uint64_t> layer_sizes, const HistoryOptions& options,
                              int64_t now) {
  std::vector<Entry> entries = Entries(config, layer_sizes);
  std::ranges::reverse(entries);
  std::vector<Json> rows;
  for (Entry& entry : entries) {
    const std::string created_at = FormatRfc3339Local(entry.created);
    // A tab would split the column.
    std::ranges::replace(entry.created_by, '\t', ' ');
    Json row;
    row["ID"] = "<missing>";
    if (rows.empty()) row["ID"] = options.no_trunc ? std::string(image_id) : ShortId(image_id);
    row["CreatedSince"] = options.human ? HumanSince(entry.created, now) : created_at;
    row["CreatedAt"] = created_at;
    row["CreatedBy"] =
        options.no_trunc ? entry.created_by : Ellipsis(entry.created_by, kCreatedByColumns);
    row["Size"] = options.human ? HumanSize(entry.size) : std::to_string(entry.size);
    row["Comment"] = std::move(entry.comment);
    rows.push_back(std::move(row));
  }
  return rows;
}

Result<std::string> FormatHistory(std::string_view image_id, const Json& config,
                                  std::span<const uint64_t> layer_sizes,
                                  const HistoryOptions& options, int64_t now) {
  const Json headings = {{"ID", "IMAGE"},
                         {"CreatedSince", "CREATED"},
                         {"CreatedAt", "CREATED AT"},
                         {"CreatedBy", "CREATED BY"},
                         {"Size", "SIZE"},
                         {"Comment", "COMMENT"}};
  std::string_view default_template = options.human ? kTableTemplate : kAbsoluteTemplate;
  if (options.quiet) default_template = kQuietTemplate;
  return FormatRows(options.format, default_template, headings,
                    HistoryRows(image_id, config, layer_sizes, options, now), options.no_headings);
}

}  // namespace veneer::tools
