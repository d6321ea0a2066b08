// The ports EXPOSE names: 80, 80/udp, 8000-8010/tcp.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "store/base/result.h"

namespace veneer::tools {

struct PortRange {
  uint16_t first;
  uint16_t last;
};
// "80", "8000-8010"; nothing for anything else.
std::optional<PortRange> ParsePortRange(std::string_view text);

// The ports as an image config lists them: "80/tcp". Takes the host's part of HOST:PORT and
// IP:HOST:PORT, too, which EXPOSE ignores. Errors (EINVAL) are Docker's: "invalid containerPort:
// x", "invalid proto: foo".
Result<std::vector<std::string>> ParsePorts(std::string_view spec);

}  // namespace veneer::tools
