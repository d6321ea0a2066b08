#include "tools/build/run/user_namespace.h"

#include <fcntl.h>

#include <sstream>
#include <string>

#include "store/base/beneath.h"

namespace veneer::build {
namespace {

constexpr uint32_t kTtyGroup = 5;  // Debian's, Red Hat's and everybody's
constexpr uint64_t kAllIds = UINT32_MAX;
constexpr size_t kMaxMap = 64U << 10;  // 340 lines at most

std::string Read(const std::string& path) {
  return ReadFileAt(AT_FDCWD, path, kMaxMap).value_or(std::string());
}

struct Extent {
  uint64_t inside = 0, outside = 0, count = 0;
};

// Calls `visit` for each line of a map.
template <typename Visit>
void EachExtent(std::string_view map, Visit visit) {
  std::istringstream lines{std::string(map)};
  Extent extent;
  while (lines >> extent.inside >> extent.outside >> extent.count) visit(extent);
}

bool IsWhole(std::string_view map) {
  bool whole = false;
  EachExtent(map, [&](const Extent& e) {
    whole = whole || (e.inside == 0 && e.outside == 0 && e.count == kAllIds);
  });
  return whole;
}

}  // namespace

UserNamespace UserNamespace::Parse(std::string_view uid_map, std::string_view gid_map,
                                   std::string_view set_groups) {
  UserNamespace out;
  if (uid_map.empty() || gid_map.empty()) return out;
  out.nested = !IsWhole(uid_map) || !IsWhole(gid_map);
  out.sets_groups = !set_groups.starts_with("deny");
  out.maps_tty_group = false;
  EachExtent(gid_map, [&](const Extent& e) {
    if (e.inside <= kTtyGroup && kTtyGroup - e.inside < e.count) out.maps_tty_group = true;
  });
  return out;
}

UserNamespace UserNamespace::Current() {
  return Parse(Read("/proc/self/uid_map"), Read("/proc/self/gid_map"),
               Read("/proc/self/setgroups"));
}

}  // namespace veneer::build
