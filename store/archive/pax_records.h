// The records of a PAX extended header (IEEE 1003.1, pax "pax Extended Header"): "LENGTH
// KEY=VALUE\n", repeated.
//
// PaxRecords keeps the ones that say where an entry's bytes are, what it is called, and the few
// that libarchive would convert. Anything that readers are known to read differently is refused
// rather than read one way.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "store/base/result.h"

namespace veneer {

struct PaxTime {
  int64_t seconds = 0;
  uint32_t nanoseconds = 0;  // counted forward from `seconds`, for times before 1970 as well
};

struct PaxRecords {
  std::optional<std::string> path, link_path;
  std::optional<uint64_t> size;  // bytes stored in the archive
  std::optional<int64_t> uid, gid;
  std::optional<PaxTime> mtime;
  std::optional<std::string> acl_access, acl_default;  // SCHILY.acl.*, as text

  // GNU sparse files: 0.0 and 0.1 keep the map in records, 1.0 in front of the data.
  std::optional<std::string> sparse_path;
  std::optional<uint64_t> sparse_major, sparse_minor;
  bool sparse_map = false;  // a 0.x map is among the records
  bool any_sparse = false;  // some GNU.sparse.* record
};

// Parses the body of an 'x' header. EBADMSG: malformed records; a record given twice with different
// values; values that do not parse.
Result<PaxRecords> ParsePaxRecords(std::string_view body);

// "[-]seconds[.fraction]"; nothing when it is not that or does not fit.
std::optional<PaxTime> ParsePaxTime(std::string_view text);

// Appends one record to the body of a header.
void AppendPaxRecord(std::string& body, std::string_view key, std::string_view value);

}  // namespace veneer
