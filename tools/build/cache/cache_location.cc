// Reading --cache-to and --cache-from.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>

#include "tools/build/cache/cache_exchange.h"
#include "tools/build/language/csv_fields.h"
#include "tools/build/language/go_number.h"
#include "tools/build/language/text.h"

namespace veneer::build {
namespace {

using Values = std::map<std::string, std::string>;

// Of an export; what they say of compression means nothing to a format of ours.
const std::vector<std::string> kExportKeys = {"type",
                                              "dest",
                                              "mode",
                                              "compression",
                                              "compression-level",
                                              "ignore-error",
                                              "force-compression",
                                              "oci-mediatypes",
                                              "image-manifest"};
const std::vector<std::string> kImportKeys = {"type", "src"};
const std::vector<std::string> kRemoteTypes = {"registry", "gha", "s3", "azblob"};

std::unexpected<Error> NoClient(const std::string& type) {
  return Invalid(
      fmt::format("cache of type {} is elsewhere, and veneer has no client for that yet; "
                  "use type=local",
                  type),
      ENOTSUP);
}

Result<Values> ReadValues(const std::string& text) {
  TRY_ASSIGN(const std::vector<std::string> fields, CsvFields(text));
  // A reference alone is one of a registry's.
  if (fields.size() == 1 && fields.front().find('=') == std::string::npos)
    return NoClient("registry");
  Values values;
  for (const std::string& field : fields) {
    const size_t equals = field.find('=');
    if (equals == std::string::npos) return Invalid("invalid value " + field);
    values[ToLower(TrimSpace(std::string_view(field).substr(0, equals)))] =
        field.substr(equals + 1);
  }
  return values;
}

Result<CacheLocation> ReadLocal(const Values& values, bool is_export) {
  const std::vector<std::string>& known = is_export ? kExportKeys : kImportKeys;
  for (const auto& [key, value] : values) {
    if (std::ranges::find(known, key) != known.end()) continue;
    return Invalid(fmt::format("unknown key \"{}\" for the local cache {}{}", key,
                               is_export ? "exporter" : "importer", DidYouMean(key, known, true)));
  }
  const auto value = [&](const char* key) {
    const auto at = values.find(key);
    return at == values.end() ? std::string() : at->second;
  };
  CacheLocation location;
  location.directory = value(is_export ? "dest" : "src");
  if (location.directory.empty())
    return Invalid(is_export ? "local cache exporter requires dest"
                             : "local cache importer requires src");
  const std::string mode = value("mode");
  if (!mode.empty() && mode != "min" && mode != "max")
    return Invalid("unknown cache export mode: " + mode);
  location.all_stages = mode == "max";
  if (const std::string ignore = value("ignore-error"); !ignore.empty()) {
    const std::optional<bool> parsed = ParseBool(ignore);
    if (!parsed) return Invalid("non-bool value specified for ignore-error");
    location.ignore_error = *parsed;
  }
  return location;
}

}  // namespace

Result<std::vector<CacheLocation>> ParseCacheLocations(const std::vector<std::string>& texts,
                                                       bool is_export) {
  std::vector<CacheLocation> locations;
  for (const std::string& text : texts) {
    if (text.empty()) continue;
    TRY_ASSIGN(const Values values, ReadValues(text));
    const auto type = values.find("type");
    if (type == values.end()) return Invalid(fmt::format("a cache needs a type: {}", text));
    if (type->second == "inline" && is_export)
      return Invalid("--cache-to type=inline is not supported by veneer build; use type=local",
                     ENOTSUP);
    if (type->second == "inline") continue;
    if (std::ranges::find(kRemoteTypes, type->second) != kRemoteTypes.end())
      return NoClient(type->second);
    if (type->second != "local")
      return Invalid(fmt::format("unknown cache {}: \"{}\"", is_export ? "exporter" : "importer",
                                 type->second));
    TRY_ASSIGN(CacheLocation location, ReadLocal(values, is_export));
    locations.push_back(std::move(location));
  }
  return locations;
}

}  // namespace veneer::build
