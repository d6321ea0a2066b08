#include "tools/build/run/network_files.h"

#include <arpa/inet.h>
#include <fcntl.h>

#include "store/base/beneath.h"
#include "tools/build/language/text.h"

namespace veneer::build {
namespace {

constexpr size_t kMaxResolvConf = 1U << 20;
constexpr std::string_view kDefaultServers =
    "nameserver 8.8.8.8\nnameserver 8.8.4.4\n"
    "nameserver 2001:4860:4860::8888\nnameserver 2001:4860:4860::8844\n";

bool IsAddress(const std::string& text) {
  in6_addr address;
  return inet_pton(AF_INET, text.c_str(), &address) == 1 ||
         inet_pton(AF_INET6, text.c_str(), &address) == 1;
}

// The address of a name server's line; empty for other lines.
std::string_view ServerOf(std::string_view line) {
  constexpr std::string_view kKeyword = "nameserver";
  line = TrimSpace(line);
  if (!line.starts_with(kKeyword)) return {};
  std::string_view rest = line.substr(kKeyword.size());
  const std::string_view address = TrimLeftSpace(rest);
  if (address.size() == rest.size()) return {};
  return address.substr(0, address.find_first_of(" \t#;"));
}

bool IsLoopback(std::string_view address) {
  return address.starts_with("127.") || address == "::1" || address.starts_with("::1%");
}

// Whether systemd-resolved's own address is the only server.
bool NamesOnlyTheStub(std::string_view text) {
  bool stub = false;
  for (const std::string& line : Split(text, '\n')) {
    const std::string_view server = ServerOf(line);
    if (server.empty()) continue;
    if (server != "127.0.0.53") return false;
    stub = true;
  }
  return stub;
}

Result<std::string> ReadIfThere(const std::string& path) {
  auto text = ReadFileAt(AT_FDCWD, path, kMaxResolvConf);
  if (!text && text.error().code() == ENOENT) return std::string();
  return text;
}

}  // namespace

Result<std::string> HostsFile(std::string_view hostname,
                              const std::vector<std::string>& extra_hosts) {
  std::string out = "127.0.0.1\tlocalhost";
  if (!hostname.empty()) out += " " + std::string(hostname);
  out += "\n::1\tlocalhost ip6-localhost ip6-loopback\n";
  for (const std::string& host : extra_hosts) {
    const size_t colon = host.find(':');
    const std::string name = host.substr(0, colon);
    std::string address = colon == host.npos ? std::string() : host.substr(colon + 1);
    if (address.size() > 2 && address.front() == '[' && address.back() == ']')
      address = address.substr(1, address.size() - 2);
    if (address == "host-gateway") address = "127.0.0.1";
    if (!IsAddress(address)) return Invalid("invalid IP address in add-host: \"" + address + "\"");
    if (name.empty() || name.find_first_of(" \t\r\n") != name.npos)
      return Invalid("invalid name in add-host: \"" + name + "\"");
    out += address + "\t" + name + "\n";
  }
  return out;
}

std::string ResolvConf(std::string_view text, bool hosts_network) {
  std::string out;
  bool any = false;
  for (const std::string& line : Split(text, '\n')) {
    const std::string_view server = ServerOf(line);
    if (!server.empty() && !hosts_network && IsLoopback(server)) continue;
    any = any || !server.empty();
    out += line + "\n";
  }
  // The text after the last newline is one more line, and mostly an empty one.
  if (out.ends_with("\n\n") || out == "\n") out.pop_back();
  if (!any) out += kDefaultServers;
  return out;
}

Result<std::string> HostsResolvConf(bool hosts_network) {
  TRY_ASSIGN(std::string text, ReadIfThere("/etc/resolv.conf"));
  if (!hosts_network && NamesOnlyTheStub(text)) {
    TRY_ASSIGN(std::string resolved, ReadIfThere("/run/systemd/resolve/resolv.conf"));
    if (!resolved.empty()) text = std::move(resolved);
  }
  return ResolvConf(text, hosts_network);
}

}  // namespace veneer::build
