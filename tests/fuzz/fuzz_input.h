// What the fuzz targets share: an input as an unnamed file, and as a stream.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>

#include "store/archive/byte_stream.h"
#include "store/base/unique_fd.h"

namespace veneer::fuzz {

inline UniqueFd FileOf(const uint8_t* data, size_t size) {
  UniqueFd fd(memfd_create("fuzz", MFD_CLOEXEC));
  if (write(fd.get(), data, size) != static_cast<ssize_t>(size)) return UniqueFd();
  return fd;
}

class Input : public ByteSource {
 public:
  Input(const uint8_t* data, size_t size) : left_(reinterpret_cast<const char*>(data), size) {}
  Result<std::string_view> Next() override { return std::exchange(left_, {}); }

 private:
  std::string_view left_;
};

}  // namespace veneer::fuzz
