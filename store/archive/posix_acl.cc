#include "store/archive/posix_acl.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "store/base/bytes.h"

namespace veneer {

namespace {

constexpr uint32_t kXattrVersion = 2;

std::unexpected<Error> Bad(const std::string& what) { return Invalid("ACL: " + what, EBADMSG); }

std::string_view Trim(std::string_view s) {
  s = s.substr(0, s.find('#'));
  while (!s.empty() && (s.front() == ' ' || s.front() == '\t')) s.remove_prefix(1);
  while (!s.empty() && (s.back() == ' ' || s.back() == '\t')) s.remove_suffix(1);
  return s;
}

std::optional<uint32_t> ParseId(std::string_view s) {
  uint32_t id = 0;
  auto [end, error] = std::from_chars(s.data(), s.data() + s.size(), id);
  if (error != std::errc() || end != s.data() + s.size() || id == UINT32_MAX) return std::nullopt;
  return id;
}

std::optional<uint16_t> ParsePermissions(std::string_view s) {
  uint16_t bits = 0;
  for (char c : s) {
    switch (c) {
      case 'r':
        bits |= 4;
        break;
      case 'w':
        bits |= 2;
        break;
      case 'x':
        bits |= 1;
        break;
      case '-':
        break;
      default:
        return std::nullopt;
    }
  }
  return bits;
}

Result<PosixAcl::Entry> ParseEntry(std::string_view text) {
  std::vector<std::string_view> fields;
  for (std::string_view rest = text;;) {
    size_t colon = rest.find(':');
    fields.push_back(Trim(rest.substr(0, colon)));
    if (colon == rest.npos) break;
    rest.remove_prefix(colon + 1);
  }
  if (fields[0] == "default" || fields[0] == "d") fields.erase(fields.begin());
  std::string shown(text.substr(0, 100));
  if (fields.empty()) return Bad("not an entry: " + shown);
  std::string_view tag = fields[0];
  bool user = tag == "user" || tag == "u", group = tag == "group" || tag == "g";
  bool mask = tag == "mask" || tag == "m", other = tag == "other" || tag == "o";
  // "mask:rwx" and "other:rwx" may leave their empty field out.
  if ((mask || other) && fields.size() == 2) fields.insert(fields.begin() + 1, std::string_view());
  if (!(user || group || mask || other) || fields.size() < 3 || fields.size() > 4) {
    return Bad("not an entry: " + shown);
  }
  std::optional<uint16_t> permissions = ParsePermissions(fields[2]);
  if (!permissions) return Bad("not permissions: " + shown);
  PosixAcl::Entry entry{.permissions = *permissions};
  bool named = !fields[1].empty() || (fields.size() == 4 && !fields[3].empty());
  if (mask || other) {
    if (named) return Bad("not an entry: " + shown);
    entry.tag = mask ? PosixAcl::kMask : PosixAcl::kOther;
    return entry;
  }
  if (!named) {
    entry.tag = user ? PosixAcl::kUserObj : PosixAcl::kGroupObj;
    return entry;
  }
  entry.tag = user ? PosixAcl::kUser : PosixAcl::kGroup;
  std::optional<uint32_t> id =
      ParseId(fields.size() == 4 && !fields[3].empty() ? fields[3] : fields[1]);
  if (!id) return Bad("a name without a number (write the archive with numeric owners): " + shown);
  entry.id = *id;
  return entry;
}

}  // namespace

uint32_t PosixAcl::PermissionBits() const {
  uint32_t user = 0, group = 0, other = 0;
  for (const Entry& e : entries) {
    if (e.tag == kUserObj) user = e.permissions;
    if (e.tag == kGroupObj || e.tag == kMask)
      group = e.permissions;  // the mask comes later and wins
    if (e.tag == kOther) other = e.permissions;
  }
  return user << 6 | group << 3 | other;
}

std::string PosixAcl::ToXattr() const {
  std::string out;
  AppendLE(out, kXattrVersion);
  for (const Entry& e : entries) {
    AppendLE(out, static_cast<uint16_t>(e.tag));
    AppendLE(out, e.permissions);
    AppendLE(out, e.id);
  }
  return out;
}

Result<PosixAcl> ParsePosixAcl(std::string_view text) {
  PosixAcl acl;
  while (!text.empty()) {
    size_t end = text.find_first_of(",\n");
    std::string_view part = Trim(text.substr(0, end));
    text.remove_prefix(end == text.npos ? text.size() : end + 1);
    if (part.empty()) continue;
    TRY_ASSIGN(PosixAcl::Entry entry, ParseEntry(part));
    acl.entries.push_back(entry);
  }
  std::ranges::sort(acl.entries, [](const auto& a, const auto& b) {
    return a.tag != b.tag ? a.tag < b.tag : a.id < b.id;
  });
  // What posix_acl_valid() of the kernel asks: the three base entries once each, a mask where there
  // are named entries, each name once.
  size_t user_obj = 0, group_obj = 0, other = 0, mask = 0, named = 0;
  for (size_t i = 0; i < acl.entries.size(); ++i) {
    const PosixAcl::Entry& e = acl.entries[i];
    user_obj += e.tag == PosixAcl::kUserObj;
    group_obj += e.tag == PosixAcl::kGroupObj;
    other += e.tag == PosixAcl::kOther;
    mask += e.tag == PosixAcl::kMask;
    named += e.tag == PosixAcl::kUser || e.tag == PosixAcl::kGroup;
    if (i > 0 && acl.entries[i - 1].tag == e.tag && acl.entries[i - 1].id == e.id) {
      return Bad("two entries for the same");
    }
  }
  if (user_obj != 1 || group_obj != 1 || other != 1) return Bad("base entries are missing");
  if (named > 0 && mask == 0) return Bad("the mask is missing");
  return acl;
}

}  // namespace veneer
