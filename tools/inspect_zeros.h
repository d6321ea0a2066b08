// The fields of Docker's documents of images and containers that a store's may leave out.
#pragma once

#include "tools/go_value.h"

namespace veneer::tools {

// With their zero values, as Template::Execute takes them.
const Json& ImageZeros();
const Json& ContainerZeros();

}  // namespace veneer::tools
