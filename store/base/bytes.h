// Bounds-checked little-endian reading and writing of byte strings that came from disk or from
// outside.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

namespace veneer {

using ByteSpan = std::span<const std::byte>;

inline ByteSpan AsBytes(std::string_view s) {
  return {reinterpret_cast<const std::byte*>(s.data()), s.size()};
}
inline std::string_view AsChars(ByteSpan b) {
  return {reinterpret_cast<const char*>(b.data()), b.size()};
}

// Loads/stores one little-endian integer. REQUIRES: sizeof(T) bytes at `p`.
template <typename T>
  requires std::is_integral_v<T>
T LoadLE(const void* p) {
  T v;
  std::memcpy(&v, p, sizeof v);
  if constexpr (std::endian::native == std::endian::big) v = std::byteswap(v);
  return v;
}
template <typename T>
  requires std::is_integral_v<T>
void StoreLE(void* p, T v) {
  if constexpr (std::endian::native == std::endian::big) v = std::byteswap(v);
  std::memcpy(p, &v, sizeof v);
}
template <typename T>
  requires std::is_integral_v<T>
void AppendLE(std::string& out, T v) {
  char buf[sizeof v];
  StoreLE(buf, v);
  out.append(buf, sizeof v);
}

// Walks a byte string from the front. After the first read past the end every read yields zero or
// an empty view and ok() is false, so a parser checks once, at its end.
class ByteReader {
 public:
  explicit ByteReader(std::string_view data) : data_(data) {}

  template <typename T>
    requires std::is_integral_v<T>
  T Read() {
    std::string_view b = Take(sizeof(T));
    return ok_ ? LoadLE<T>(b.data()) : T{};
  }
  std::string_view Take(size_t n) {
    if (!ok_ || n > data_.size()) {
      ok_ = false;
      return {};
    }
    std::string_view r = data_.substr(0, n);
    data_.remove_prefix(n);
    return r;
  }
  size_t remaining() const { return data_.size(); }
  bool ok() const { return ok_; }

 private:
  std::string_view data_;
  bool ok_ = true;
};

}  // namespace veneer
