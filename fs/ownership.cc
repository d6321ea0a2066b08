#include "fs/ownership.h"

#include <endian.h>

#include <charconv>
#include <cstring>
#include <fstream>

namespace veneer::fs {

namespace {

constexpr uint64_t kIdEnd = UINT32_MAX;  // (uid_t)-1 is nobody's

// The form of system.posix_acl_* attributes (linux/posix_acl_xattr.h), little-endian.
struct AclHeader {
  uint32_t version;
};
struct AclEntry {
  uint16_t tag;
  uint16_t permissions;
  uint32_t id;
};
constexpr uint16_t kAclUser = 0x02;
constexpr uint16_t kAclGroup = 0x08;

bool IsAcl(std::string_view name) { return name.starts_with(kAclPrefix); }

// Replaces the identifiers of named users and groups; false: `map` refused one.
template <typename Map>
bool MapAcl(std::string& value, Map map) {
  for (size_t at = sizeof(AclHeader); at + sizeof(AclEntry) <= value.size();
       at += sizeof(AclEntry)) {
    AclEntry entry;
    memcpy(&entry, value.data() + at, sizeof entry);
    uint16_t tag = le16toh(entry.tag);
    if (tag != kAclUser && tag != kAclGroup) continue;
    std::optional<uint32_t> id = map(tag == kAclUser, le32toh(entry.id));
    if (!id) return false;
    entry.id = htole32(*id);
    memcpy(value.data() + at, &entry, sizeof entry);
  }
  return true;
}

uint32_t OverflowId(const char* path) {
  uint32_t id = 65534;
  std::ifstream file(path);
  uint32_t read = 0;
  if (file >> read) id = read;
  return id;
}

bool Overlap(uint32_t a, uint32_t b, uint64_t a_count, uint64_t b_count) {
  return a < b + b_count && b < a + a_count;
}

}  // namespace

Result<IdMap> IdMap::Parse(std::string_view text) {
  std::vector<uint32_t> numbers;
  for (std::string_view rest = text; !rest.empty();) {
    std::string_view part = rest.substr(0, rest.find(':'));
    rest.remove_prefix(std::min(rest.size(), part.size() + 1));
    if (part.empty()) continue;
    uint32_t number = 0;
    auto parsed = std::from_chars(part.data(), part.data() + part.size(), number);
    if (parsed.ec != std::errc() || parsed.ptr != part.data() + part.size()) {
      return Invalid("'" + std::string(part) + "' is not a number");
    }
    numbers.push_back(number);
  }
  if (numbers.empty() || numbers.size() % 3 != 0) {
    return Invalid("wanted are triples DISK:SHOWN:COUNT");
  }
  IdMap map;
  for (size_t i = 0; i < numbers.size(); i += 3) {
    Range range{.disk = numbers[i], .shown = numbers[i + 1], .count = numbers[i + 2]};
    if (range.count == 0) return Invalid("a range is empty");
    if (uint64_t{range.disk} + range.count > kIdEnd ||
        uint64_t{range.shown} + range.count > kIdEnd) {
      return Invalid("a range ends past the largest identifier");
    }
    for (const Range& other : map.ranges_) {
      if (Overlap(range.disk, other.disk, range.count, other.count) ||
          Overlap(range.shown, other.shown, range.count, other.count)) {
        return Invalid("ranges overlap");
      }
    }
    map.ranges_.push_back(range);
  }
  return map;
}

std::optional<uint32_t> IdMap::Shown(uint32_t disk) const {
  if (ranges_.empty()) return disk;
  for (const Range& range : ranges_) {
    if (disk >= range.disk && disk - range.disk < range.count) {
      return range.shown + (disk - range.disk);
    }
  }
  return std::nullopt;
}

std::optional<uint32_t> IdMap::OnDisk(uint32_t shown) const {
  if (ranges_.empty()) return shown;
  for (const Range& range : ranges_) {
    if (shown >= range.shown && shown - range.shown < range.count) {
      return range.disk + (shown - range.shown);
    }
  }
  return std::nullopt;
}

Ownership::Ownership(Settings settings)
    : settings_(std::move(settings)),
      overflow_uid_(OverflowId("/proc/sys/kernel/overflowuid")),
      overflow_gid_(OverflowId("/proc/sys/kernel/overflowgid")) {}

uid_t Ownership::ShownUid(uid_t disk) const {
  if (settings_.squash_uid) return *settings_.squash_uid;
  return settings_.uids.Shown(disk).value_or(overflow_uid_);
}

gid_t Ownership::ShownGid(gid_t disk) const {
  if (settings_.squash_gid) return *settings_.squash_gid;
  return settings_.gids.Shown(disk).value_or(overflow_gid_);
}

struct stat Ownership::Shown(struct stat st) const {
  st.st_uid = ShownUid(st.st_uid);
  st.st_gid = ShownGid(st.st_gid);
  return st;
}

Result<Caller> Ownership::OnDisk(Caller caller) const {
  auto uid = settings_.uids.OnDisk(caller.uid);
  auto gid = settings_.gids.OnDisk(caller.gid);
  if (!uid || !gid) return Fail(EOVERFLOW, "owner that is not mapped");
  caller.uid = *uid;
  caller.gid = *gid;
  return caller;
}

Result<uid_t> Ownership::UidOnDisk(uid_t shown) const {
  auto uid = settings_.uids.OnDisk(shown);
  if (!uid) return Fail(EINVAL, "owner that is not mapped");
  return *uid;
}

Result<gid_t> Ownership::GidOnDisk(gid_t shown) const {
  auto gid = settings_.gids.OnDisk(shown);
  if (!gid) return Fail(EINVAL, "group that is not mapped");
  return *gid;
}

std::string Ownership::ShownXattr(std::string_view name, std::string value) const {
  if (!maps() || !IsAcl(name)) return value;
  MapAcl(value, [this](bool user, uint32_t id) -> std::optional<uint32_t> {
    return user ? settings_.uids.Shown(id).value_or(overflow_uid_)
                : settings_.gids.Shown(id).value_or(overflow_gid_);
  });
  return value;
}

Result<std::string> Ownership::XattrOnDisk(std::string_view name, std::string_view value) const {
  std::string stored(value);
  if (!maps() || !IsAcl(name)) return stored;
  bool mapped = MapAcl(stored, [this](bool user, uint32_t id) {
    return user ? settings_.uids.OnDisk(id) : settings_.gids.OnDisk(id);
  });
  if (!mapped) return Fail(EINVAL, "ACL for somebody who is not mapped");
  return stored;
}

}  // namespace veneer::fs
