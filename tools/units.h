// Sizes, ages, times and IDs as Docker shows them.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "store/base/result.h"

namespace veneer::tools {

// Decimal units, three significant digits: 0B, 7.81kB, 124MB, 1.09GB (go-units
// HumanSizeWithPrecision(size, 3)). 999.9kB comes out as 1e+03kB, as it does in Docker.
std::string HumanSize(uint64_t bytes);

// "Less than a second", "5 seconds", "About a minute", "3 hours", "2 weeks", "2 years" (go-units
// HumanDuration).
std::string HumanDuration(std::chrono::seconds duration);

// A moment in UTC. Go's zero time (year 1) is what stands for "none"; a Timestamp is made with it.
struct Timestamp {
  static constexpr int64_t kNone = -62135596800;

  int64_t seconds = kNone;  // since 1970
  int32_t nanos = 0;        // 0 to 999,999,999

  static Timestamp Now();
  bool operator==(const Timestamp&) const = default;
};

// "2 weeks ago"; "N/A" for 1970 and before, which means that nobody recorded it. Both in seconds
// since 1970.
std::string HumanSince(int64_t then, int64_t now);

// Go's RFC3339Nano in UTC: 2024-01-02T03:04:05.12Z, without trailing zeros.
std::string FormatRfc3339Nano(const Timestamp& time);
// Go's RFC3339 in the local time zone: 2024-01-02T03:04:05+01:00; Z where that is UTC.
std::string FormatRfc3339Local(int64_t seconds);
// Go's time.Time.String() in the local time zone: 2024-01-02 03:04:05 +0100 CET, as {{.CreatedAt}}
// in listings.
std::string FormatLocalTime(int64_t seconds);

// Reads RFC 3339 as Go does: any number of decimals, Z or an offset. EINVAL for everything else.
Result<Timestamp> ParseRfc3339(std::string_view text);

// The first 12 characters of an ID, without its "sha256:".
std::string ShortId(std::string_view id);

// `text`, or what of it fits in `columns` with "…" at the end. East Asian characters are two
// columns wide.
std::string Ellipsis(std::string_view text, int columns);

}  // namespace veneer::tools
