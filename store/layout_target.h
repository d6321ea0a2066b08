// LayoutTarget: where the files of an image layout are written: one tar, or a directory.
//
// Private to saving. Not thread-safe. What was written is whole only after Finish().
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "store/archive/byte_stream.h"
#include "store/base/result.h"

namespace veneer {

class LayoutTarget {
 public:
  using Producer = std::function<Result<>(ByteSink&)>;
  virtual ~LayoutTarget() = default;

  virtual Result<> Directory(const std::string& path) = 0;
  virtual Result<> File(const std::string& path, std::string_view content) = 0;
  // A file of `size` bytes, which `produce` writes. EBADMSG when it writes another number.
  virtual Result<> Stream(const std::string& path, uint64_t size, const Producer& produce) = 0;
  // The present content of `path`, empty when there is none (always, for a tar).
  virtual Result<std::string> Existing(const std::string& path) = 0;
  virtual Result<> Finish() = 0;

  // One tar to `out` (borrowed): directories 0755, files 0644, owner 0, time 0; ustar, with a PAX
  // header only for files over 8 GiB. Same calls, same bytes.
  static Result<std::unique_ptr<LayoutTarget>> Tar(ByteSink& out);

  // Files below `directory`, made when missing. A file stands under its name once it is durable. A
  // blob (a path that ends in its SHA-256) that is there already and sound is not written again.
  // ENOTEMPTY: there is something in it, and no image layout.
  static Result<std::unique_ptr<LayoutTarget>> InDirectory(const std::string& directory);
};

}  // namespace veneer
