// Reading JSON that others wrote.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "store/base/result.h"

namespace veneer {

// EBADMSG "not valid JSON" or "JSON that is nested too deeply": copying, printing and destroying a
// value recurse once a level, so that a few bytes a level would exhaust the stack.
Result<nlohmann::ordered_json> ParseJson(std::string_view text);

// The strings of the list `object` has under `key`; none where there is no list.
std::vector<std::string> StringsAt(const nlohmann::ordered_json& object, const char* key);

}  // namespace veneer
