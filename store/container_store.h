// Containers: a named upper over an image's chain, and the config it would run with.
//
// The row in the catalogue is the truth; `containers/<id>/` holds upper/ and work/, as
// docs/upper-format.md describes.
#pragma once

#include <string>

#include "store/base/result.h"
#include "store/base/unique_fd.h"
#include "store/catalog.h"
#include "store/store.h"

namespace veneer {

// Creates a container of `image`. An empty `name` gets a generated one. The upper's root starts
// with the attributes of the image's root. Errors are sentences: EEXIST name taken, EINVAL name not
// allowed ([a-zA-Z0-9][a-zA-Z0-9_.-]+, as Docker).
Result<ContainerRow> CreateContainer(Store& store, const ImageId& image,
                                     const std::string& image_name, const std::string& name);

// By name, full ID, or an unambiguous prefix of the ID. ENOENT "No such container", EINVAL
// ambiguous.
Result<ContainerRow> FindContainer(Store& store, const std::string& name_or_id);

// Deletes row and files. EBUSY while its upper is locked: mounted, or read by a commit.
Result<> RemoveContainer(Store& store, const ContainerRow& container);

// The lock that a mount holds on its upper (docs/upper-format.md "Work"), for those who read or
// remove an upper that is not mounted. EBUSY: somebody has it.
class UpperLock {
 public:
  static Result<UpperLock> Take(const Store& store, const ContainerRow& container);

 private:
  explicit UpperLock(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
};

std::string UpperPath(const Store& store, const ContainerRow& container);  // absolute
std::string WorkPath(const Store& store, const ContainerRow& container);   // absolute

}  // namespace veneer
