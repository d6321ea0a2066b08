#include "tools/build/run/seccomp_profile.h"

#include <sys/utsname.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "tools/build/language/text.h"
#include "tools/build/run/capabilities.h"
#include "tools/build/run/seccomp_rules.h"

namespace veneer::build {
namespace {

using Json = nlohmann::ordered_json;

bool Has(std::string_view list, std::string_view word) {
  const std::vector<std::string> words = Split(list, ' ');
  return std::find(words.begin(), words.end(), word) != words.end();
}

bool Applies(const SeccompRule& rule, std::string_view machine,
             const std::vector<std::string>& capabilities) {
  const auto has = [&](std::string_view capability) {
    return std::find(capabilities.begin(), capabilities.end(), capability) != capabilities.end();
  };
  if (!rule.capability.empty() && !has(rule.capability)) return false;
  if (!rule.without_capability.empty() && has(rule.without_capability)) return false;
  if (!rule.machines.empty() && !Has(rule.machines, machine)) return false;
  return rule.not_machines.empty() || !Has(rule.not_machines, machine);
}

Json Condition(const SeccompArgument& argument) {
  Json out = {{"index", argument.index}};
  switch (argument.is) {
    case SeccompArgument::Is::kEqual:
      out["value"] = argument.value;
      out["op"] = "SCMP_CMP_EQ";
      break;
    case SeccompArgument::Is::kLess:
      out["value"] = argument.value;
      out["op"] = "SCMP_CMP_LT";
      break;
    case SeccompArgument::Is::kNoneOf:  // masked with value, it is valueTwo
      out["value"] = argument.value;
      out["valueTwo"] = 0;
      out["op"] = "SCMP_CMP_MASKED_EQ";
      break;
  }
  return out;
}

}  // namespace

Json SeccompProfile(std::string_view machine, const std::vector<std::string>& capabilities) {
  Json out = {{"defaultAction", "SCMP_ACT_ERRNO"}, {"defaultErrnoRet", EPERM}};
  const auto machines = SeccompMachines();
  const auto known = std::find_if(machines.begin(), machines.end(),
                                  [&](const SeccompMachine& m) { return m.machine == machine; });
  // Without a list, the runtime takes the machine's own architecture alone.
  if (known != machines.end()) out["architectures"] = Split(known->architectures, ' ');
  out["syscalls"] = Json::array();
  for (const SeccompRule& rule : SeccompRules()) {
    if (!Applies(rule, machine, capabilities)) continue;
    Json entry = {{"names", Split(rule.calls, ' ')},
                  {"action", rule.error == 0 ? "SCMP_ACT_ALLOW" : "SCMP_ACT_ERRNO"}};
    if (rule.error != 0) entry["errnoRet"] = rule.error;
    if (rule.arguments.empty()) out["syscalls"].push_back(entry);
    // Conditions within an entry must all hold, so that alternatives are entries of their own.
    for (const SeccompArgument& argument : rule.arguments) {
      Json alternative = entry;
      alternative["args"] = Json::array({Condition(argument)});
      out["syscalls"].push_back(std::move(alternative));
    }
  }
  return out;
}

const Json& DefaultSeccompProfile() {
  static const Json kProfile = [] {
    utsname name = {};
    uname(&name);
    return SeccompProfile(name.machine, DefaultCapabilities());
  }();
  return kProfile;
}

}  // namespace veneer::build
