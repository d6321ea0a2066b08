#include "tools/build/language/platform.h"

#include <sys/utsname.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <vector>

#include "tools/build/language/text.h"
#include "tools/go_value.h"

namespace veneer::build {
namespace {

constexpr std::array<std::string_view, 17> kSystems = {
    "aix",   "android", "darwin", "dragonfly", "freebsd", "hurd",    "illumos", "ios", "js",
    "linux", "nacl",    "netbsd", "openbsd",   "plan9",   "solaris", "windows", "zos"};
constexpr std::array<std::string_view, 23> kArchitectures = {
    "386",     "amd64",   "amd64p32", "arm",    "armbe",  "arm64",    "arm64be",   "ppc64",
    "ppc64le", "loong64", "mips",     "mipsle", "mips64", "mips64le", "mips64p32", "mips64p32le",
    "ppc",     "riscv",   "riscv64",  "s390",   "s390x",  "sparc",    "sparc64"};

bool IsComponent(const std::string& part) {
  return !part.empty() && std::ranges::all_of(part, [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || std::string_view("_.-").contains(c);
  });
}

}  // namespace

Platform Normalize(Platform platform) {
  std::string& arch = platform.architecture;
  std::string& variant = platform.variant;
  if (arch == "i386") {
    arch = "386";
    variant.clear();
  } else if (arch == "x86_64" || arch == "x86-64" || arch == "amd64") {
    arch = "amd64";
    if (variant == "v1") variant.clear();
  } else if (arch == "aarch64" || arch == "arm64") {
    arch = "arm64";
    if (variant == "8" || variant == "v8" || variant == "v8.0") variant.clear();
    if (variant == "9" || variant == "9.0" || variant == "v9.0") variant = "v9";
  } else if (arch == "armhf") {
    arch = "arm";
    variant = "v7";
  } else if (arch == "armel") {
    arch = "arm";
    variant = "v6";
  } else if (arch == "arm") {
    if (variant.empty()) variant = "v7";
    if (variant.size() == 1 && std::string_view("5678").contains(variant)) variant.insert(0, "v");
  }
  return platform;
}

Result<Platform> ParsePlatform(std::string_view text) {
  const std::string quoted = tools::GoQuote(text);
  const std::vector<std::string> parts = Split(ToLower(text), '/');
  for (const std::string& part : parts) {
    if (IsComponent(part)) continue;
    return Invalid(tools::GoQuote(part) + " is an invalid component of " + quoted +
                   ": platform specifier component must match \"^[A-Za-z0-9_.-]+$\": invalid "
                   "argument");
  }
  Platform platform;
  if (parts.size() == 1) {
    if (std::ranges::find(kSystems, parts[0]) != kSystems.end() || parts[0] == "macos") {
      platform = HostPlatform();
      platform.os = parts[0] == "macos" ? "darwin" : parts[0];
      return platform;
    }
    platform = {"linux", parts[0], ""};
    platform = Normalize(platform);
    if (std::ranges::find(kArchitectures, platform.architecture) == kArchitectures.end())
      return Invalid(quoted + ": unknown operating system or architecture: invalid argument");
  } else if (parts.size() <= 3) {
    platform = {parts[0] == "macos" ? "darwin" : parts[0], parts[1],
                parts.size() == 3 ? parts[2] : ""};
    platform = Normalize(platform);
    if (parts.size() == 3 && platform.architecture == "arm64" && platform.variant.empty())
      platform.variant = "v8";
  } else {
    return Invalid(quoted + ": cannot parse platform specifier: invalid argument");
  }
  // v7 is what arm means where nothing else is said.
  if (parts.size() < 3 && platform.architecture == "arm" && platform.variant == "v7")
    platform.variant.clear();
  return platform;
}

std::string Format(const Platform& platform) {
  std::string out = platform.os + "/" + platform.architecture;
  if (!platform.variant.empty()) out += "/" + platform.variant;
  return out;
}

Platform HostPlatform() {
  utsname names;
  Platform platform{"linux", uname(&names) == 0 ? names.machine : "amd64", ""};
  if (platform.architecture.starts_with("armv7")) platform.architecture = "armhf";
  if (platform.architecture.starts_with("armv6")) platform.architecture = "armel";
  if (platform.architecture == "i686" || platform.architecture == "i586")
    platform.architecture = "i386";
  platform = Normalize(platform);
  return platform;
}

}  // namespace veneer::build
