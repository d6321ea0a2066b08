// --build-context NAME=VALUE: an image or a directory to copy from, mount, or start from.
#pragma once

#include <functional>
#include <string>

#include "store/base/result.h"
#include "store/store.h"
#include "tools/build/build_session.h"

namespace veneer::build {

// VALUE: docker-image://NAME or container-image://NAME (of the store), oci-layout://DIRECTORY with
// :TAG or @DIGEST, an image archive's path, a git repository, the URL of an archive, or a
// directory. Images of layouts and archives are loaded into the store, as `veneer load` would. What
// is fetched goes to `scratch`, an empty directory. Errors are sentences; ECANCELED.
Result<NamedContext> OpenNamedContext(Store& store, const std::string& value,
                                      const std::string& scratch,
                                      const std::function<bool()>& cancelled);

}  // namespace veneer::build
