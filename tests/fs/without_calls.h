// WithoutCalls: what the code does where system calls are missing or refused, or that it makes
// none.
#pragma once

#include <functional>
#include <vector>

namespace veneer::fs::testing {

// Calls `body` in a process of its own for which the system calls `numbers` fail with `error`; 0:
// they kill it. True: it returned true.
bool WithoutCalls(const std::vector<long>& numbers, int error, const std::function<bool()>& body);

}  // namespace veneer::fs::testing
