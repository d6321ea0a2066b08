#include "tools/build/docker_flags.h"

#include <algorithm>

#include "tools/build/language/go_number.h"

namespace veneer::build {
namespace {

// Attestations that are turned off ask for nothing.
constexpr const char* kAttestations[] = {"--provenance", "--sbom"};
constexpr const char* kUnsupported[] = {
    "--attest",    "--annotation",    "--memory,-m",   "--memory-swap", "--cpu-period",
    "--cpu-quota", "--cpu-shares,-c", "--cpuset-cpus", "--cpuset-mems", "--cgroup-parent"};
// Docker's own build takes these and does nothing with them, as do we.
constexpr const char* kIgnored[] = {"--security-opt", "--builder"};

std::unexpected<Error> NotSupported(const std::string& flag) {
  return Invalid(flag + " is not supported by veneer build", ENOTSUP);
}

}  // namespace

void AddDockerFlags(CLI::App* c, BuildFlags& flags) {
  const auto hidden = [&](const std::string& names, std::vector<std::string>& values) {
    c->add_option(names, values)->allow_extra_args(false)->group("");
  };
  for (const char* name : kAttestations) hidden(name, flags.attestations[name]);
  for (const std::string names : kUnsupported)
    hidden(names, flags.unsupported[names.substr(0, names.find(','))]);
  for (const char* name : kIgnored) hidden(name, flags.ignored);
  hidden("--isolation", flags.isolation);
  c->add_flag("--compress,-D,--debug")->group("");
  c->add_option("--call", flags.call, "What to do: build (default), or check as --check does");
}

Result<> CheckDockerFlags(const BuildFlags& flags) {
  const auto given = [](const std::string& value) { return !value.empty(); };
  for (const auto& [name, values] : flags.unsupported) {
    if (std::ranges::any_of(values, given)) return NotSupported(name);
  }
  for (const auto& [name, values] : flags.attestations) {
    for (const std::string& value : values) {
      if (!value.empty() && ParseBool(value).value_or(true))
        return NotSupported(name + "=" + value);
    }
  }
  for (const std::string& value : flags.isolation) {
    if (!value.empty() && value != "default") return NotSupported("--isolation=" + value);
  }
  if (!flags.call.empty() && flags.call != "build" && flags.call != "check")
    return NotSupported("--call=" + flags.call);
  return {};
}

bool WantsCheck(const BuildFlags& flags) { return flags.check || flags.call == "check"; }

}  // namespace veneer::build
