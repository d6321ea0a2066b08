// A process and mount namespace for a build, so that nothing of it outlives it.
//
// A build mounts filesystems and runs other people's commands. All of that happens in a child that
// has namespaces of its own: whatever ends this process, SIGKILL too, ends everything in them, and
// the kernel takes their mounts away. An ordinary user's child is root of a user namespace with the
// user's subordinate ids (subuid(5), subgid(5)), as far as there are any.
#pragma once

#include <functional>

#include "store/base/result.h"

namespace veneer::build {

// Runs `body` there and gives its exit status; 128 + n where a signal ended it. SIGINT and SIGTERM
// are passed on: `body` finds them by WasInterrupted(). A second one later, or a quarter of a
// minute without an end, kills it. REQUIRES: this process has one thread, and holds no store open.
//
// Errors are sentences: no user namespaces, newuidmap missing, …
Result<int> RunIsolated(const std::function<int()>& body);

// In `body`: whether it was asked to end.
bool WasInterrupted();

}  // namespace veneer::build
