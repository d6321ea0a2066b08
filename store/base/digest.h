// SHA-256 digests: the Digest value type and an incremental hasher (OpenSSL).
//
// Digest names an object, a blob, a layer (DiffID), a chain (ChainID) or an image; the strong
// aliases below keep them apart in signatures. Text form: "sha256:" + 64 lowercase hex digits (OCI
// image-spec, descriptor.md "Digests").
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "store/base/bytes.h"
#include "store/base/result.h"

namespace veneer {

class Digest {
 public:
  static constexpr size_t kSize = 32;

  constexpr Digest() = default;
  explicit Digest(const std::array<uint8_t, kSize>& bytes) : bytes_(bytes) {}

  // Parses "sha256:<64 hex>"; EINVAL otherwise. ParseHex takes the 64 hex digits alone.
  static Result<Digest> Parse(std::string_view text);
  static Result<Digest> ParseHex(std::string_view hex);
  // REQUIRES: 32 bytes at `p`.
  static Digest FromBytes(const void* p);
  static Digest Of(std::string_view data);

  std::string Hex() const;
  std::string ToString() const { return "sha256:" + Hex(); }
  const std::array<uint8_t, kSize>& bytes() const { return bytes_; }
  std::string_view view() const { return {reinterpret_cast<const char*>(bytes_.data()), kSize}; }
  bool IsZero() const { return bytes_ == std::array<uint8_t, kSize>{}; }

  auto operator<=>(const Digest&) const = default;

 private:
  std::array<uint8_t, kSize> bytes_{};
};

// Distinct types for distinct uses; each is a Digest and converts to one explicitly by `.digest`.
template <typename Tag>
struct StrongDigest {
  Digest digest;
  StrongDigest() = default;
  explicit StrongDigest(const Digest& d) : digest(d) {}
  std::string Hex() const { return digest.Hex(); }
  std::string ToString() const { return digest.ToString(); }
  auto operator<=>(const StrongDigest&) const = default;
};
using ObjectId = StrongDigest<struct ObjectTag>;  // content of a regular file
using DiffId = StrongDigest<struct DiffTag>;      // uncompressed layer tar
using ChainId = StrongDigest<struct ChainTag>;    // OCI image-spec, config.md "Layer ChainID"
using ImageId = StrongDigest<struct ImageTag>;    // digest of the image config

// ChainID of `layer` applied on `parent`: the DiffID itself for the first layer, else
// SHA-256(parent + " " + layer).
ChainId NextChainId(const ChainId* parent, const DiffId& layer);
ChainId ChainIdOf(std::span<const DiffId> layers);  // REQUIRES: at least one layer

struct DigestHash {
  size_t operator()(const Digest& d) const { return LoadLE<uint64_t>(d.bytes().data()); }
  template <typename Tag>
  size_t operator()(const StrongDigest<Tag>& d) const {
    return (*this)(d.digest);
  }
};

// Incremental SHA-256. Not thread-safe. Movable.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;

  void Update(std::string_view data);
  void UpdateZeros(uint64_t count);  // as Update with `count` NUL bytes
  // Ends the computation; the hasher starts afresh.
  Digest Finish();

 private:
  struct Context;
  std::unique_ptr<Context> ctx_;
};

}  // namespace veneer
