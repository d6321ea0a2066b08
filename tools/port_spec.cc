#include "tools/port_spec.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>

namespace veneer::tools {
namespace {

std::optional<uint16_t> ParsePort(std::string_view text) {
  uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return port;
}

}  // namespace

std::optional<PortRange> ParsePortRange(std::string_view text) {
  const size_t dash = text.find('-');
  const std::optional<uint16_t> first = ParsePort(text.substr(0, dash));
  const std::optional<uint16_t> last =
      dash == std::string_view::npos ? first : ParsePort(text.substr(dash + 1));
  if (!first || !last || *last < *first) return std::nullopt;
  return PortRange{*first, *last};
}

Result<std::vector<std::string>> ParsePorts(std::string_view spec) {
  std::string_view ports = spec;
  std::string proto = "tcp";
  if (const size_t slash = spec.find('/'); slash != std::string_view::npos) {
    ports = spec.substr(0, slash);
    if (slash + 1 < spec.size()) proto = spec.substr(slash + 1);
    std::ranges::transform(proto, proto.begin(), [](unsigned char c) { return std::tolower(c); });
  }
  std::string_view host;
  if (const size_t colon = ports.rfind(':'); colon != std::string_view::npos) {
    host = ports.substr(0, colon);
    ports = ports.substr(colon + 1);
    if (const size_t ip_end = host.rfind(':'); ip_end != std::string_view::npos)
      host = host.substr(ip_end + 1);
  }
  if (ports.empty()) return Invalid(fmt::format("no port specified: {}<empty>", spec));
  const std::optional<PortRange> range = ParsePortRange(ports);
  if (!range) return Invalid(fmt::format("invalid containerPort: {}", ports));
  if (!host.empty() && !ParsePortRange(host))
    return Invalid(fmt::format("invalid hostPort: {}", host));
  if (proto != "tcp" && proto != "udp" && proto != "sctp")
    return Invalid("invalid proto: " + proto);
  std::vector<std::string> out;
  for (uint32_t port = range->first; port <= range->last; ++port)
    out.push_back(fmt::format("{}/{}", port, proto));
  return out;
}

}  // namespace veneer::tools
