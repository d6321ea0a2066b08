// Names of signals, as STOPSIGNAL takes them.
#pragma once

#include <string>

namespace veneer::tools {

// A number from 1 to 64, or a name with or without SIG, in any case: the kernel's names, and those
// of the real-time signals (RTMIN+3).
bool IsSignal(const std::string& text);

}  // namespace veneer::tools
