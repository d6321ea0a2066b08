#include "store/archive/pax_records.h"

#include <charconv>

namespace veneer {

namespace {

constexpr uint64_t kMaxSize = uint64_t{1} << 62;

std::unexpected<Error> Bad(std::string_view what) {
  return Invalid("PAX header: " + std::string(what), EBADMSG);
}

template <typename T = uint64_t>
std::optional<T> Decimal(std::string_view text) {
  T v = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), v);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return v;
}

// Some readers take the first of two records with one key, some the last.
template <typename T>
Result<> SetOnce(std::optional<T>& field, T value, std::string_view key) {
  if (field && *field != value) return Bad("two different values of " + std::string(key));
  field = std::move(value);
  return {};
}

Result<> SetText(std::optional<std::string>& field, std::string_view key, std::string_view value) {
  if (value.find('\0') != value.npos) return Bad("NUL in " + std::string(key));
  return SetOnce(field, std::string(value), key);
}

Result<> SetNumber(std::optional<uint64_t>& field, std::string_view key, std::string_view value) {
  std::optional<uint64_t> v = Decimal(value);
  if (!v || *v > kMaxSize) return Bad(std::string(key) + " is not a number");
  return SetOnce(field, *v, key);
}

Result<> Apply(PaxRecords& r, std::string_view key, std::string_view value) {
  if (key.starts_with("GNU.sparse.")) r.any_sparse = true;
  if (key == "size") return SetNumber(r.size, key, value);
  if (key == "GNU.sparse.major") return SetNumber(r.sparse_major, key, value);
  if (key == "GNU.sparse.minor") return SetNumber(r.sparse_minor, key, value);
  if (key == "GNU.sparse.map" || key == "GNU.sparse.numblocks" || key == "GNU.sparse.offset") {
    r.sparse_map = true;
    return {};
  }
  if (key == "SUN.holesdata") return Bad("a Solaris sparse file");
  // An empty value takes the record back (pax "pax Extended Header").
  if (value.empty()) return {};
  if (key == "uid" || key == "gid") {
    std::optional<int64_t> id = Decimal<int64_t>(value);
    if (!id) return Bad(std::string(key) + " is not a number");
    return SetOnce(key == "uid" ? r.uid : r.gid, *id, key);
  }
  if (key == "path") return SetText(r.path, key, value);
  if (key == "linkpath") return SetText(r.link_path, key, value);
  if (key == "GNU.sparse.name") return SetText(r.sparse_path, key, value);
  if (key == "SCHILY.acl.access") return SetText(r.acl_access, key, value);
  if (key == "SCHILY.acl.default") return SetText(r.acl_default, key, value);
  if (key == "mtime") {
    r.mtime = ParsePaxTime(value);
    if (!r.mtime) return Bad("mtime is not a time");
  }
  return {};
}

}  // namespace

std::optional<PaxTime> ParsePaxTime(std::string_view text) {
  bool negative = text.starts_with('-');
  if (negative) text.remove_prefix(1);
  size_t dot = text.find('.');
  std::optional<uint64_t> whole = Decimal(text.substr(0, dot));
  if (!whole || *whole > INT64_MAX - 1) return std::nullopt;
  uint32_t nanoseconds = 0;
  bool more = false;  // digits below a nanosecond
  if (dot != text.npos) {
    uint32_t scale = 100'000'000;
    for (char c : text.substr(dot + 1)) {
      if (c < '0' || c > '9') return std::nullopt;
      if (scale == 0 && c != '0') more = true;
      nanoseconds += static_cast<uint32_t>(c - '0') * scale;
      scale /= 10;
    }
  }
  PaxTime t{.seconds = static_cast<int64_t>(*whole), .nanoseconds = nanoseconds};
  if (!negative) return t;
  // Downwards to the nanosecond, as GNU tar rounds.
  t.seconds = -t.seconds;
  if (more) ++nanoseconds;
  if (nanoseconds > 0) {
    --t.seconds;
    t.nanoseconds = 1'000'000'000 - nanoseconds;
  }
  return t;
}

Result<PaxRecords> ParsePaxRecords(std::string_view body) {
  PaxRecords records;
  while (!body.empty()) {
    size_t blank = body.find(' ');
    std::optional<uint64_t> length = Decimal(body.substr(0, blank));
    if (blank == body.npos || !length || *length > body.size() || *length < blank + 3 ||
        body[*length - 1] != '\n') {
      return Bad("malformed record");
    }
    std::string_view record = body.substr(blank + 1, *length - blank - 2);
    body.remove_prefix(*length);
    size_t equals = record.find('=');
    if (equals == record.npos || equals == 0) return Bad("a record without a key");
    std::string_view key = record.substr(0, equals);
    if (key.find('\0') != key.npos) return Bad("NUL in a key");
    TRY(Apply(records, key, record.substr(equals + 1)));
  }
  return records;
}

void AppendPaxRecord(std::string& body, std::string_view key, std::string_view value) {
  // The length counts its own digits.
  size_t rest = key.size() + value.size() + 3, length = rest;
  while (length != rest + std::to_string(length).size()) {
    length = rest + std::to_string(length).size();
  }
  body += std::to_string(length);
  body += ' ';
  body += key;
  body += '=';
  body += value;
  body += '\n';
}

}  // namespace veneer
