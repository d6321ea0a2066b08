// The ports of EXPOSE: 80, 80/udp, 8000-8010/tcp, and what Docker takes besides.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "store/base/result.h"

namespace veneer::build {

struct ExposedPorts {
  std::vector<std::string> ports;  // as an image config lists them: "80/tcp"
  bool has_host = false;           // an address or a port of the host, which mean nothing here
  bool upper_case = false;         // in the protocol
};

// Errors (EINVAL) are BuildKit's: `invalid port: "80/x": invalid proto: x`, "invalid containerPort:
// x", "invalid hostPort: x", "invalid IP address: x".
Result<ExposedPorts> ReadPorts(std::string_view spec);

}  // namespace veneer::build
