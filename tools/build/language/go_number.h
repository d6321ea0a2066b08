// Numbers as Go's standard library and Docker's units package read them, with their messages.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>

#include "store/base/result.h"

namespace veneer::build {

// time.ParseDuration: "1h15m30.5s", "-2us". Errors (EINVAL) are Go's: `time: missing unit in
// duration "5"`.
Result<std::chrono::nanoseconds> ParseDuration(std::string_view text);

// strconv.ParseInt(text, 10, 32). Errors (EINVAL): `strconv.ParseInt: parsing "x": invalid syntax`.
Result<int32_t> ParseInt32(std::string_view text);

// strconv.ParseUint(text, base, 32) and strconv.ParseBool; nothing where Go has an error.
std::optional<uint32_t> ParseUint32(std::string_view text, int base);
std::optional<bool> ParseBool(std::string_view text);

// Bytes with a binary unit: "64m", "1.5GiB", "10 kB"; nothing if it is none.
std::optional<int64_t> ParseMemorySize(std::string_view text);

}  // namespace veneer::build
