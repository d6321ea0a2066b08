#include "store/archive/tar_header.h"

#include <algorithm>

namespace veneer {

namespace {

using tar_fields::kChecksum, tar_fields::kLinkName, tar_fields::kMagic, tar_fields::kMode,
    tar_fields::kName, tar_fields::kPrefix, tar_fields::kSize, tar_fields::kType;

// GNU tar's struct oldgnu_header.
constexpr TarField kGnuAtime{345, 12}, kGnuCtime{357, 12}, kGnuSparse{386, 96},
    kGnuRealSize{483, 12};
constexpr size_t kGnuExtended = 482;
constexpr size_t kSparseEntry = 24, kExtensionContinues = 504;
constexpr int64_t kMaxSize = int64_t{1} << 62;

std::string_view Slice(std::string_view block, TarField f) {
  return block.substr(f.offset, f.length);
}

std::string_view Text(std::string_view block, TarField f) {
  std::string_view s = Slice(block, f);
  return s.substr(0, s.find('\0'));
}

// Readers stop at the first entry without an offset, so the count ends there as well.
uint32_t CountSparseEntries(std::string_view entries) {
  uint32_t n = 0;
  while (entries.size() >= kSparseEntry && entries[0] != '\0') {
    ++n;
    entries.remove_prefix(kSparseEntry);
  }
  return n;
}

bool ChecksumMatches(std::string_view block) {
  std::string_view field = Slice(block, kChecksum);
  std::optional<int64_t> want = ParseTarNumber(field);
  if (!want) return false;
  int64_t as_unsigned = 0, as_signed = 0;
  for (size_t i = 0; i < kTarBlock; ++i) {
    bool inside = i - kChecksum.offset < kChecksum.length;
    char c = inside ? ' ' : block[i];
    as_unsigned += static_cast<unsigned char>(c);
    as_signed += static_cast<signed char>(c);
  }
  // Old writers summed signed characters; every reader takes both.
  return *want == as_unsigned || *want == as_signed;
}

}  // namespace

std::optional<int64_t> ParseTarNumber(std::string_view field) {
  if (field.empty()) return 0;
  auto first = static_cast<unsigned char>(field[0]);
  if (first & 0x80) {
    bool negative = first & 0x40;
    uint64_t value = negative ? ~uint64_t{0} : 0;
    uint64_t lead = first & 0x3f;
    if (negative) lead |= ~uint64_t{0x3f};
    value = lead;
    for (char c : field.substr(1)) {
      // The next shift must not lose anything but copies of the sign.
      auto top = static_cast<int64_t>(value) >> 55;
      if (top != 0 && top != -1) return std::nullopt;
      value = (value << 8) | static_cast<unsigned char>(c);
    }
    return static_cast<int64_t>(value);
  }
  size_t i = 0;
  while (i < field.size() && (field[i] == ' ' || field[i] == '\t')) ++i;
  uint64_t value = 0;
  for (; i < field.size() && field[i] >= '0' && field[i] <= '7'; ++i) {
    if (value >> 60) return std::nullopt;
    value = value * 8 + static_cast<uint64_t>(field[i] - '0');
  }
  for (; i < field.size(); ++i) {
    if (field[i] != ' ' && field[i] != '\0') return std::nullopt;
  }
  return static_cast<int64_t>(value);
}

bool IsZeroBlock(std::string_view block) {
  return block[0] == '\0' && std::ranges::all_of(block, [](char c) { return c == '\0'; });
}

Result<TarHeader> ParseTarHeader(std::string_view block) {
  if (!ChecksumMatches(block)) return Invalid("a header's checksum is wrong", EBADMSG);
  TarHeader h;
  std::string_view magic = block.substr(kMagic, 8);
  if (magic == std::string_view("ustar  \0", 8)) {
    h.dialect = TarDialect::kGnu;
  } else if (magic.starts_with("ustar")) {
    h.dialect = TarDialect::kUstar;
  }
  h.old_regular = block[kType] == '\0';
  h.type = h.old_regular ? '0' : block[kType];
  h.permissions = static_cast<uint32_t>(ParseTarNumber(Slice(block, kMode)).value_or(0)) & 07777;

  std::optional<int64_t> size = ParseTarNumber(Slice(block, kSize));
  if (!size || *size < 0 || *size > kMaxSize) {
    return Invalid("a header's size is not a size", EBADMSG);
  }
  h.size = static_cast<uint64_t>(*size);

  if (h.dialect == TarDialect::kUstar) h.path = Text(block, kPrefix);
  if (!h.path.empty() && h.path.back() != '/') h.path += '/';
  h.path += Text(block, kName);
  h.link_path = Text(block, kLinkName);

  if (h.dialect == TarDialect::kGnu) {
    // Go before 1.8 sometimes wrote a ustar prefix into a GNU header, over these two; its reader
    // still heeds it, and nobody else does.
    for (TarField time : {kGnuAtime, kGnuCtime}) {
      if (!ParseTarNumber(Slice(block, time)))
        return Invalid("a GNU header with a prefix", EBADMSG);
    }
    std::string_view sparse = Slice(block, kGnuSparse);
    h.sparse_extents = CountSparseEntries(sparse);
    h.sparse_continues = block[kGnuExtended] != '\0';
    h.has_sparse_fields =
        sparse[0] != '\0' || h.sparse_continues || block[kGnuRealSize.offset] != '\0';
  }
  return h;
}

SparseExtension ParseSparseExtension(std::string_view block) {
  return {.extents = CountSparseEntries(block.substr(0, kExtensionContinues)),
          .continues = block[kExtensionContinues] != '\0'};
}

}  // namespace veneer
