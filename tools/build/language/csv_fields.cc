#include "tools/build/language/csv_fields.h"

#include <fmt/format.h>

#include <algorithm>

namespace veneer::build {

Result<std::vector<std::string>> CsvFields(std::string_view line) {
  const auto refuse = [](size_t column, const char* why) {
    return Invalid(fmt::format("parse error on line 1, column {}: {}", column + 1, why));
  };
  if (line.empty()) return Invalid("EOF");
  std::vector<std::string> fields;
  for (size_t pos = 0;;) {
    std::string& field = fields.emplace_back();
    if (pos < line.size() && line[pos] == '"') {
      for (++pos;; ++pos) {
        if (pos >= line.size()) return refuse(pos, "extraneous or missing \" in quoted-field");
        if (line[pos] == '"') {
          // The end of the field, or the first of two that stand for one.
          ++pos;
          if (pos >= line.size()) return fields;
          if (line[pos] == ',') break;
          if (line[pos] != '"') return refuse(pos - 1, "extraneous or missing \" in quoted-field");
        }
        field += line[pos];
      }
      ++pos;
      continue;
    }
    const size_t end = std::min(line.find(',', pos), line.size());
    field = line.substr(pos, end - pos);
    if (const size_t quote = field.find('"'); quote != std::string::npos)
      return refuse(pos + quote, "bare \" in non-quoted-field");
    if (end == line.size()) return fields;
    pos = end + 1;
  }
}

}  // namespace veneer::build
