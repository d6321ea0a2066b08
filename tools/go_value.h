// JSON values written the way Go writes them: fmt's %v and %q, encoding/json, and Go's names for
// their types.
//
// Docker's --format prints Go values; these functions make ours print alike. A JSON value stands
// for the Go value that Docker would hold: an integer is an int, an object a map (printed and
// ranged over by sorted key), null is nil.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace veneer::tools {

// Key order is kept, so that {{json .}} shows a document's own order.
using Json = nlohmann::ordered_json;

// fmt.Sprint of the value: 3, true, text, <nil>, [a b], map[k:v].
// REQUIRES: !DeeperThan(value, some sane limit): it recurses.
std::string FormatValue(const Json& value);

// %v of a float64: the shortest text that reads back, with an exponent from 1e+06 on (so 1.5,
// 1e+06).
std::string FormatFloat(double value);

// encoding/json: compact; bad UTF-8 becomes \ufffd. `escape_html` also writes <, >, & as \u003c,
// \u003e, \u0026, which Docker does for whole rows (--format json) and not for the template
// function json.
std::string EncodeJson(const Json& value, bool escape_html);

// strconv.Quote.
std::string GoQuote(std::string_view text);

// The Go type Docker's error messages would name: "string", "int", "[]interface {}", …
std::string_view GoTypeName(const Json& value);

// The members of an object, sorted by key. The pointers live as long as `object` does.
using Member = std::pair<const std::string*, const Json*>;
std::vector<Member> SortedMembers(const Json& object);

// Whether arrays and objects nest deeper than `limit`. Looks no further than `limit`, so any input
// is safe.
bool DeeperThan(const Json& value, int limit);

}  // namespace veneer::tools
