#include "tools/build/cache/cache_filter.h"

#include <fmt/format.h>

#include <chrono>
#include <set>

#include "tools/build/language/go_number.h"

namespace veneer::build {
namespace {

// "inuse", "inuse=true", "inuse=false".
Result<bool> Flag(const std::string& key, const std::string& value) {
  if (value.empty()) return true;
  const std::optional<bool> parsed = ParseBool(value);
  if (!parsed)
    return Invalid(fmt::format("invalid filter '{}={}': true or false expected", key, value));
  return *parsed;
}

Result<> Read(const std::string& key, const std::string& value, CacheFilter& filter) {
  if (key == "until" || key == "unused-for") {
    const auto duration = ParseDuration(value);
    if (!duration) return Invalid(fmt::format("filter '{}' expects a duration (e.g., '24h')", key));
    filter.unused_for = std::chrono::duration_cast<std::chrono::seconds>(*duration).count();
  } else if (key == "id") {
    filter.id = value;
  } else if (key == "type") {
    if (value != "regular" && value != "exec.cachemount")
      return Invalid(fmt::format(
          "invalid filter 'type={}': there are 'regular' and 'exec.cachemount'", value));
    filter.type = value;
  } else if (key == "description~") {
    filter.description = value;
  } else if (key == "inuse") {
    TRY_ASSIGN(filter.in_use, Flag(key, value));
  } else if (key == "shared") {
    TRY_ASSIGN(filter.shared, Flag(key, value));
  } else if (key == "private") {
    TRY_ASSIGN(const bool is_private, Flag(key, value));
    filter.shared = !is_private;
  } else {
    return Invalid(fmt::format("invalid filter '{}'", key));
  }
  return {};
}

}  // namespace

Result<CacheFilter> CacheFilter::Parse(const std::vector<std::string>& texts) {
  CacheFilter filter;
  std::set<std::string> keys;
  for (const std::string& text : texts) {
    if (text.empty()) continue;
    const size_t equals = text.find('=');
    const std::string key = text.substr(0, equals);
    if (!keys.insert(key).second) return Invalid(fmt::format("filter '{}' is given twice", key));
    TRY(Read(key, equals == std::string::npos ? "" : text.substr(equals + 1), filter));
  }
  return filter;
}

bool CacheFilter::Matches(const BuildCacheEntry& entry, int64_t now) const {
  if (unused_for && now - entry.last_used_at < *unused_for) return false;
  if (!entry.id.starts_with(id)) return false;
  if (!type.empty() && entry.type != type) return false;
  if (in_use && entry.in_use != *in_use) return false;
  if (shared && entry.shared != *shared) return false;
  return entry.description.find(description) != std::string::npos;
}

}  // namespace veneer::build
