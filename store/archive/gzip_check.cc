#include "store/archive/gzip_check.h"

#include <algorithm>
#include <array>

#include "store/base/bytes.h"

namespace veneer {

namespace {

constexpr size_t kHeadSize = 4;  // of a header, enough to look for: magic, method, flags
constexpr size_t kWindow = GzipCheck::kTrailerSize + kHeadSize;

// Eight bytes at a time ("slicing-by-8").
using Tables = std::array<std::array<uint32_t, 256>, 8>;
constexpr Tables MakeTables() {
  Tables t{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t c = i;
    for (int bit = 0; bit < 8; ++bit) c = c & 1 ? c >> 1 ^ 0xedb88320 : c >> 1;
    t[0][i] = c;
  }
  for (uint32_t i = 0; i < 256; ++i) {
    for (size_t k = 1; k < 8; ++k) t[k][i] = t[k - 1][i] >> 8 ^ t[0][t[k - 1][i] & 0xff];
  }
  return t;
}
constexpr Tables kTables = MakeTables();

uint32_t Crc32(std::string_view data, uint32_t crc) {
  crc = ~crc;
  const char* p = data.data();
  size_t n = data.size();
  for (; n >= 8; p += 8, n -= 8) {
    uint64_t v = LoadLE<uint64_t>(p) ^ crc;
    crc = 0;
    for (size_t k = 0; k < 8; ++k) crc ^= kTables[7 - k][v >> (8 * k) & 0xff];
  }
  for (; n > 0; ++p, --n) crc = crc >> 8 ^ kTables[0][(crc ^ static_cast<uint8_t>(*p)) & 0xff];
  return ~crc;
}

}  // namespace

void GzipCheck::Scan(std::string_view bytes, uint64_t position) {
  for (size_t i = kTrailerSize; i + kHeadSize <= bytes.size(); ++i) {
    i = bytes.find('\x1f', i);
    if (i == bytes.npos || i + kHeadSize > bytes.size()) return;
    // Magic, "deflate", and none of the reserved flags.
    if (bytes[i + 1] != '\x8b' || bytes[i + 2] != '\x08' || (bytes[i + 3] & 0xe0) != 0) continue;
    const char* trailer = bytes.data() + i - kTrailerSize;
    boundaries_.push_back({.position = position + i,
                           .crc = LoadLE<uint32_t>(trailer),
                           .size = LoadLE<uint32_t>(trailer + 4)});
  }
}

void GzipCheck::Input(std::string_view piece) {
  // What lies across the border of two pieces first; neither of them alone holds a window of it.
  std::string_view head = piece.substr(0, kWindow - 1);
  Scan(tail_ + std::string(head), given_ - tail_.size());
  Scan(piece, given_);
  given_ += piece.size();
  tail_ += piece.substr(piece.size() - std::min(piece.size(), kWindow - 1));
  if (tail_.size() > kWindow - 1) tail_.erase(0, tail_.size() - (kWindow - 1));
}

void GzipCheck::Output(std::string_view data, uint64_t consumed) {
  size_t done = 0;
  for (; done < boundaries_.size() && boundaries_[done].position <= consumed; ++done) {
    const Boundary& b = boundaries_[done];
    uint32_t more = b.size - static_cast<uint32_t>(size_);  // sizes are modulo 2^32
    if (more > data.size() || Crc32(data.substr(0, more), crc_) != b.crc) continue;
    data.remove_prefix(more);
    crc_ = 0;
    size_ = 0;
  }
  boundaries_.erase(boundaries_.begin(), boundaries_.begin() + static_cast<ptrdiff_t>(done));
  crc_ = Crc32(data, crc_);
  size_ += data.size();
}

bool GzipCheck::Ended(std::string_view trailer) const {
  return trailer.size() == kTrailerSize && LoadLE<uint32_t>(trailer.data()) == crc_ &&
         LoadLE<uint32_t>(trailer.data() + 4) == static_cast<uint32_t>(size_);
}

}  // namespace veneer
