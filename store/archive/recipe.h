// Recipe: every byte of a layer's tar that is not file content, and where the contents go
// (docs/recipe-format.md).
//
// With the objects it rebuilds the tar bit for bit.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "store/archive/byte_stream.h"
#include "store/archive/layer_tar.h"
#include "store/base/digest.h"
#include "store/base/result.h"
#include "store/base/unique_fd.h"

namespace veneer {

// Writes a recipe file. Not thread-safe.
class RecipeWriter {
 public:
  // Writes to `fd` from offset 0; many object references are spooled to an unnamed temporary file
  // in `scratch_dirfd`. Both are borrowed and must outlive the writer.
  static Result<std::unique_ptr<RecipeWriter>> Create(int fd, int scratch_dirfd);
  virtual ~RecipeWriter() = default;
  virtual Result<> Literal(std::string_view data) = 0;
  // The payload of one file: the extents of object `id`, which is `size` bytes long.
  virtual Result<> Payload(const ObjectId& id, uint64_t size,
                           const std::vector<PayloadExtent>& extents) = 0;
  virtual Result<> Finish() = 0;  // the recipe is whole after this; not synced
};

struct ObjectRef {
  ObjectId id;
  uint64_t size = 0;
};

// Reads a recipe file. EBADMSG on any damage.
class RecipeReader {
 public:
  static Result<std::unique_ptr<RecipeReader>> Open(
      int fd);  // `fd` borrowed, must outlive the reader
  virtual ~RecipeReader() = default;

  virtual uint64_t tar_size() const = 0;
  // The objects the layer refers to, in tar order, repetitions included; reads no literal.
  virtual Result<> ForEachObject(const std::function<Result<>(const ObjectRef&)>& visit) = 0;
  // Replays the tar into `out`; `open_object` opens an object's content for reading.
  virtual Result<> Rebuild(const std::function<Result<UniqueFd>(const ObjectId&)>& open_object,
                           ByteSink& out) = 0;
};

}  // namespace veneer
