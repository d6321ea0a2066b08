// Docker's default seccomp profile, as data: which system calls a contained process may make.
//
// What no rule allows fails with EPERM. The profile is that of moby/profiles in 2026: beside what
// older ones refuse, it keeps io_uring and the rarer socket families (VSOCK, ALG, …) from
// containers.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace veneer::build {

// A condition on one argument of the call.
struct SeccompArgument {
  enum class Is { kEqual, kLess, kNoneOf };  // kNoneOf: none of these bits is set
  unsigned index = 0;
  uint64_t value = 0;
  Is is = Is::kEqual;
};

struct SeccompRule {
  std::string_view calls;               // names, separated by blanks
  std::string_view capability;          // counts only with it; empty: always
  std::string_view without_capability;  // counts only without it; empty: always
  std::string_view machines;            // counts only there: uname -m, separated by blanks
  std::string_view not_machines;        // counts only elsewhere
  int error = 0;                        // what the calls fail with; 0: they are allowed
  // Conditions, one of which must hold; empty: always.
  std::span<const SeccompArgument> arguments = {};
};

std::span<const SeccompRule> SeccompRules();

// The architectures of programs that run on a machine (uname -m), the machine's own first. On other
// machines these are the machine's own alone.
struct SeccompMachine {
  std::string_view machine;
  std::string_view architectures;  // SCMP_ARCH_…, separated by blanks
};
std::span<const SeccompMachine> SeccompMachines();

}  // namespace veneer::build
