// The ports EXPOSE names: 80, 80/udp, 8000-8010/tcp.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "store/base/result.h"

namespace veneer::tools {

// The ports as an image config lists them: "80/tcp". Takes the host's part of HOST:PORT and
// IP:HOST:PORT, too, which EXPOSE ignores. Errors (EINVAL) are Docker's: "invalid containerPort:
// x", "invalid proto: foo".
Result<std::vector<std::string>> ParsePorts(std::string_view spec);

}  // namespace veneer::tools
