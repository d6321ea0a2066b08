#include "tools/build/language/expose.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <array>
#include <cstdint>
#include <optional>
#include <utility>

#include "tools/build/language/text.h"
#include "tools/go_value.h"
#include "tools/port_spec.h"

namespace veneer::build {
namespace {

bool IsAddress(std::string address) {
  if (address.starts_with('[') && address.ends_with(']'))
    address = address.substr(1, address.size() - 2);
  std::array<unsigned char, sizeof(in6_addr)> out;
  return inet_pton(AF_INET, address.c_str(), out.data()) == 1 ||
         inet_pton(AF_INET6, address.c_str(), out.data()) == 1;
}

}  // namespace

Result<ExposedPorts> ReadPorts(std::string_view spec) {
  std::vector<std::string> parts = Split(spec, ':');
  std::string container = std::move(parts.back());
  parts.pop_back();
  std::string host;
  if (!parts.empty()) {
    host = std::move(parts.back());
    parts.pop_back();
  }
  const std::string address = Join(parts, ":");

  const size_t slash = container.find('/');
  std::string proto = slash == std::string::npos ? "" : container.substr(slash + 1);
  container.resize(std::min(slash, container.size()));
  if (container.empty())
    return Invalid("invalid port: " + tools::GoQuote(spec) + ": no port specified");
  if (proto.empty()) proto = "tcp";
  const std::string lower = ToLower(proto);
  if (lower != "tcp" && lower != "udp" && lower != "sctp") {
    return Invalid("invalid port: " + tools::GoQuote(spec) + ": invalid proto: " + proto);
  }
  if (!address.empty() && !IsAddress(address)) return Invalid("invalid IP address: " + address);
  const std::optional<tools::PortRange> ports = tools::ParsePortRange(container);
  if (!ports) return Invalid("invalid containerPort: " + container);
  if (!host.empty()) {
    const std::optional<tools::PortRange> outside = tools::ParsePortRange(host);
    if (!outside) return Invalid("invalid hostPort: " + host);
    if (ports->first != ports->last &&
        ports->last - ports->first != outside->last - outside->first) {
      return Invalid(fmt::format("invalid ranges specified for container and host Ports: {} and {}",
                                 container, host));
    }
  }
  ExposedPorts out;
  out.has_host = !address.empty() || !host.empty();
  out.upper_case = proto != lower;
  for (uint32_t port = ports->first; port <= ports->last; ++port)
    out.ports.push_back(fmt::format("{}/{}", port, lower));
  return out;
}

}  // namespace veneer::build
