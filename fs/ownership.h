// Ownership: how the owners that the mount shows relate to those on disk, for lower and upper
// alike.
//
// The engine works with what is on disk; this is applied where attributes leave it and where
// changes come in. So copy-up and rename need not know of it. Immutable; pure functions.
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "fs/types.h"
#include "store/base/result.h"

namespace veneer::fs {

// A list of ranges "DISK:SHOWN:COUNT": identifiers from DISK on are shown as those from SHOWN on.
// An empty map changes nothing.
class IdMap {
 public:
  // Triples of decimal numbers joined by ':'; empty parts are ignored (containers/storage begins
  // with one). EINVAL, with the reason: not triples of numbers, a range past 2^32 - 2, an empty
  // range, or ranges that overlap on either side.
  static Result<IdMap> Parse(std::string_view text);

  bool empty() const { return ranges_.empty(); }
  // nullopt: not mapped.
  std::optional<uint32_t> Shown(uint32_t disk) const;
  std::optional<uint32_t> OnDisk(uint32_t shown) const;

 private:
  struct Range {
    uint32_t disk, shown, count;
  };
  std::vector<Range> ranges_;
};

class Ownership {
 public:
  struct Settings {
    IdMap uids;
    IdMap gids;
    // Everything is shown as this user's or group's.
    std::optional<uid_t> squash_uid;
    std::optional<gid_t> squash_gid;
  };
  Ownership() = default;
  explicit Ownership(Settings settings);

  // What stat shows for a file that is `st` on disk: unmapped identifiers are the host's overflow
  // identifiers.
  struct stat Shown(struct stat st) const;
  // Who a file made by `caller` belongs to on disk. EOVERFLOW: an identifier is not mapped, as on
  // the kernel's idmapped mounts.
  Result<Caller> OnDisk(Caller caller) const;
  // The owner that chown(2) puts on disk. EINVAL: not mapped.
  Result<uid_t> UidOnDisk(uid_t shown) const;
  Result<gid_t> GidOnDisk(gid_t shown) const;
  // True where the owner on disk does not show, so that a host which refuses to change it is no
  // failure.
  bool squashes() const { return settings_.squash_uid || settings_.squash_gid; }

  // The value of extended attribute `name`, with the identifiers in ACLs mapped. On the way to the
  // disk: EINVAL for unmapped ones.
  std::string ShownXattr(std::string_view name, std::string value) const;
  Result<std::string> XattrOnDisk(std::string_view name, std::string_view value) const;

 private:
  bool maps() const { return !settings_.uids.empty() || !settings_.gids.empty(); }
  uid_t ShownUid(uid_t disk) const;
  gid_t ShownGid(gid_t disk) const;

  Settings settings_;
  uid_t overflow_uid_ = 65534;
  gid_t overflow_gid_ = 65534;
};

}  // namespace veneer::fs
