// When what is made now was made.
#pragma once

#include <string>

namespace veneer::tools {

// RFC 3339 in UTC, of now or of SOURCE_DATE_EPOCH (reproducible-builds.org) where it is set.
std::string CreationTime();

}  // namespace veneer::tools
