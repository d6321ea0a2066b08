// Rows of the catalogue as values: what the files that implement Catalog share, and nobody else
// includes.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "store/base/digest.h"
#include "store/base/result.h"
#include "store/sqlite.h"

namespace veneer::rows {

// A digest of one of the strong types; zero for a blob of another length.
template <typename Id>
Id IdFrom(std::string_view blob) {
  return blob.size() == Digest::kSize ? Id(Digest::FromBytes(blob.data())) : Id();
}

// What `from` makes of each row that `s` has left, and of the first one alone.
template <typename From>
auto All(Statement& s, From from) -> Result<std::vector<decltype(from(s))>> {
  std::vector<decltype(from(s))> rows;
  for (;;) {
    TRY_ASSIGN(bool row, s.Step());
    if (!row) return rows;
    rows.push_back(from(s));
  }
}

template <typename From>
auto First(Statement& s, From from) -> Result<std::optional<decltype(from(s))>> {
  TRY_ASSIGN(bool row, s.Step());
  if (!row) return std::nullopt;
  return from(s);
}

}  // namespace veneer::rows
