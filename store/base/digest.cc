#include "store/base/digest.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <algorithm>
#include <new>

namespace veneer {

namespace {
int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

// Fetched once: an EVP_sha256() handle is looked up again on every EVP_DigestInit_ex.
// SHA-256 is wanted from the default provider, whatever openssl.cnf says: reading it takes longer
// than a small commit's hashing.
const EVP_MD* Md() {
  static EVP_MD* md = [] {
    OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, nullptr);
    return EVP_MD_fetch(nullptr, "SHA256", nullptr);
  }();
  return md;
}
}  // namespace

Result<Digest> Digest::ParseHex(std::string_view hex) {
  std::array<uint8_t, kSize> bytes{};
  if (hex.size() != 2 * kSize) return Invalid("a SHA-256 digest has 64 hex digits");
  for (size_t i = 0; i < kSize; ++i) {
    int hi = HexValue(hex[2 * i]), lo = HexValue(hex[2 * i + 1]);
    if (hi < 0 || lo < 0) return Invalid("a SHA-256 digest has only lowercase hex digits");
    bytes[i] = static_cast<uint8_t>(hi << 4 | lo);
  }
  return Digest(bytes);
}

Result<Digest> Digest::Parse(std::string_view text) {
  constexpr std::string_view kPrefix = "sha256:";
  if (!text.starts_with(kPrefix)) {
    return Invalid("digest '" + std::string(text.substr(0, 80)) + "' is not a sha256 digest");
  }
  return ParseHex(text.substr(kPrefix.size()));
}

Digest Digest::FromBytes(const void* p) {
  Digest d;
  std::memcpy(d.bytes_.data(), p, kSize);
  return d;
}

Digest Digest::Of(std::string_view data) {
  Sha256 h;
  h.Update(data);
  return h.Finish();
}

std::string Digest::Hex() const {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  out.reserve(2 * kSize);
  for (uint8_t b : bytes_) {
    out += kDigits[b >> 4];
    out += kDigits[b & 15];
  }
  return out;
}

ChainId NextChainId(const ChainId* parent, const DiffId& layer) {
  if (!parent) return ChainId(layer.digest);
  return ChainId(Digest::Of(parent->ToString() + " " + layer.ToString()));
}

ChainId ChainIdOf(std::span<const DiffId> layers) {
  ChainId id(layers.front().digest);
  for (const DiffId& layer : layers.subspan(1)) id = NextChainId(&id, layer);
  return id;
}

struct Sha256::Context {
  EVP_MD_CTX* md = EVP_MD_CTX_new();
  Context() {
    if (!md || EVP_DigestInit_ex(md, Md(), nullptr) != 1) throw std::bad_alloc();
  }
  ~Context() { EVP_MD_CTX_free(md); }
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;
};

Sha256::Sha256() : ctx_(std::make_unique<Context>()) {}
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

void Sha256::Update(std::string_view data) { EVP_DigestUpdate(ctx_->md, data.data(), data.size()); }

void Sha256::UpdateZeros(uint64_t count) {
  static constexpr char kZeros[65536] = {};
  while (count > 0) {
    size_t n = std::min<uint64_t>(count, sizeof kZeros);
    Update({kZeros, n});
    count -= n;
  }
}

Digest Sha256::Finish() {
  std::array<uint8_t, Digest::kSize> out{};
  EVP_DigestFinal_ex(ctx_->md, out.data(), nullptr);
  EVP_DigestInit_ex(ctx_->md, Md(), nullptr);
  return Digest(out);
}

}  // namespace veneer
