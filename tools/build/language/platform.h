// Platforms of images: linux/arm64, linux/arm/v7, by containerd's rules.
#pragma once

#include <string>
#include <string_view>

#include "store/base/result.h"

namespace veneer::build {

struct Platform {
  std::string os;
  std::string architecture;
  std::string variant;

  bool operator==(const Platform&) const = default;
};

// "os/arch", "os/arch/variant", an operating system or an architecture alone; in the usual names
// (aarch64 is arm64). Errors (EINVAL): `"x": unknown operating system or architecture: invalid
// argument`, and the like.
Result<Platform> ParsePlatform(std::string_view text);

// In the usual names, and without a variant that goes without saying: aarch64/v8 is arm64.
Platform Normalize(Platform platform);

// "linux/arm/v7".
std::string Format(const Platform& platform);

Platform HostPlatform();

}  // namespace veneer::build
