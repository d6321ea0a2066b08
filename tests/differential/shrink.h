// Shrinking a script that fails to a short one that fails the same way (delta debugging, Zeller and
// Hildebrandt's ddmin), then its numbers to plainer ones.
#pragma once

#include <functional>

#include "tests/differential/op.h"

namespace veneer::differential {

// True: this script fails as the whole one did.
using Fails = std::function<bool(const Script&)>;

// Returns what is left when no single operation can go, or when `more` says that time is up.
// REQUIRES: fails(script).
Script Shrink(Script script, const Fails& fails, const std::function<bool()>& more);

}  // namespace veneer::differential
