// What the user namespace that we are in lets a container do.
#pragma once

#include <cstdint>
#include <string_view>

namespace veneer::build {

struct UserNamespace {
  // Not every id of the host is ours: no devices, no cgroups, no /sys of our own.
  bool nested = false;
  bool maps_tty_group = true;  // whether there is a group 5, which terminals belong to
  bool sets_groups = true;     // whether processes may change their supplementary groups

  // The one we are in. Where /proc does not tell, it is taken for the first one.
  static UserNamespace Current();
  // As the texts of /proc/self/{uid_map,gid_map,setgroups} say (user_namespaces(7)).
  static UserNamespace Parse(std::string_view uid_map, std::string_view gid_map,
                             std::string_view set_groups);
};

}  // namespace veneer::build
