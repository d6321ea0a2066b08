// /etc/hosts and /etc/resolv.conf as a step's command sees them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "store/base/result.h"

namespace veneer::build {

// The names of this host, then one line for each of `extra_hosts` ("name:address"; "host-gateway"
// is this host, whose network the command shares). EINVAL "invalid IP address in add-host: …".
Result<std::string> HostsFile(std::string_view hostname,
                              const std::vector<std::string>& extra_hosts);

// What the host's `text` becomes. In the host's network everything works that works for the host;
// otherwise name servers on the loopback interface are out of reach. Where none is left, the
// default ones of Docker's take their place.
std::string ResolvConf(std::string_view text, bool hosts_network);

// Reads the host's /etc/resolv.conf; outside of its network, the one that systemd-resolved keeps
// for others if /etc names no other server than its own. A missing one is empty.
Result<std::string> HostsResolvConf(bool hosts_network);

}  // namespace veneer::build
