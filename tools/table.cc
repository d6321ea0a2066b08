#include "tools/table.h"

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <utility>

#include "tools/go_template.h"
#include "tools/utf8.h"

namespace veneer::tools {
namespace {

constexpr std::string_view kTable = "table";
constexpr size_t kMinWidth = 10;
constexpr size_t kPadding = 3;

std::string_view TrimSpaces(std::string_view text) {
  while (text.starts_with(' ')) text.remove_prefix(1);
  while (text.ends_with(' ')) text.remove_suffix(1);
  return text;
}

// `\t` and `\n` as people type them.
std::string Unescape(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const char next = i + 1 < text.size() ? text[i + 1] : '\0';
    if (text[i] == '\\' && (next == 't' || next == 'n')) {
      out.push_back(next == 't' ? '\t' : '\n');
      ++i;
    } else {
      out.push_back(text[i]);
    }
  }
  return out;
}

std::string JsonLine(const Json& row) {
  Json sorted = Json::object();
  for (const auto& [key, value] : SortedMembers(row)) {
    if (!value->is_object()) sorted[*key] = *value;
  }
  return EncodeJson(sorted, true);
}

struct Cell {
  std::string_view text;
  size_t width;
};

std::vector<Cell> SplitLine(std::string_view line) {
  std::vector<Cell> cells;
  while (true) {
    const size_t tab = line.find('\t');
    const std::string_view text = line.substr(0, tab);
    cells.push_back({text, RuneCount(text)});
    if (tab == std::string_view::npos) return cells;
    line.remove_prefix(tab + 1);
  }
}

}  // namespace

std::string AlignColumns(std::string_view text) {
  std::vector<std::vector<Cell>> lines;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    lines.push_back(SplitLine(text.substr(0, end)));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  // Line by line, widths for the cells that a tab ends; `open` are the lines that have column
  // `column`.
  std::vector<std::vector<size_t>> widths(lines.size());
  std::vector<size_t> open(lines.size());
  std::iota(open.begin(), open.end(), size_t{0});
  for (size_t column = 0; !open.empty(); ++column) {
    std::erase_if(open, [&](size_t line) { return lines[line].size() < column + 2; });
    for (size_t from = 0; from < open.size();) {
      size_t to = from;
      size_t width = kMinWidth;
      for (; to < open.size() && open[to] - open[from] == to - from; ++to) {
        width = std::max(width, lines[open[to]][column].width + kPadding);
      }
      for (; from < to; ++from) widths[open[from]].push_back(width);
    }
  }
  std::string out;
  for (size_t i = 0; i < lines.size(); ++i) {
    for (size_t column = 0; column < lines[i].size(); ++column) {
      const Cell& cell = lines[i][column];
      out += cell.text;
      if (column < widths[i].size()) out.append(widths[i][column] - cell.width, ' ');
    }
    out.push_back('\n');
  }
  return out;
}

Result<std::string> FormatRows(std::string_view format, std::string_view default_template,
                               const Json& headings, const std::vector<Json>& rows,
                               bool no_headings) {
  std::string out;
  if (format.empty() || format == kTable) format = default_template;
  if (format == "json" || TrimSpaces(format) == "{{json .}}") {
    for (const Json& row : rows) out += JsonLine(row) + "\n";
    return out;
  }
  const bool table = format.starts_with(kTable);
  if (table) format.remove_prefix(kTable.size());
  TRY_ASSIGN(const Template row_template, Template::Parse(Unescape(TrimSpaces(format))));
  if (table && !no_headings) out = row_template.ExecuteHeading(headings) + "\n";
  for (const Json& row : rows) {
    TRY_ASSIGN(const std::string line, row_template.Execute(row));
    out += line + "\n";
  }
  return table ? AlignColumns(out) : out;
}

}  // namespace veneer::tools
