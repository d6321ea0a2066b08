#include <sys/stat.h>

#include <algorithm>
#include <string>

#include "store/archive/compression.h"
#include "store/archive/recipe.h"
#include "store/archive/recipe_format.h"
#include "store/base/beneath.h"
#include "store/base/bytes.h"
#include "store/base/crc32c.h"

namespace veneer {

namespace {

namespace format = recipe_format;

constexpr size_t kSectionPiece = size_t{64} << 10;
constexpr size_t kObjectPiece = size_t{1} << 20;
static_assert(kSectionPiece >= format::kReferenceSize);

std::unexpected<Error> Damaged(const char* what) {
  return Invalid(std::string("the recipe is damaged: ") + what, EBADMSG);
}

// A part of the file, read with pread, summed up on the way.
class SectionSource : public ByteSource {
 public:
  SectionSource(int fd, uint64_t offset, uint64_t size) : fd_(fd), offset_(offset), left_(size) {}
  Result<std::string_view> Next() override { return Take(kSectionPiece); }
  // At most `size` bytes (no more than kSectionPiece).
  Result<std::string_view> Take(size_t size) {
    buffer_.resize(std::min<uint64_t>(size, left_));
    TRY_ASSIGN(size_t got, PreadUpTo(fd_, buffer_.data(), buffer_.size(), offset_));
    if (got != buffer_.size()) return Damaged("it is shorter than it says");
    offset_ += got;
    left_ -= got;
    crc_ = Crc32c(buffer_, crc_);
    return buffer_;
  }
  uint32_t crc() const { return crc_; }

 private:
  int fd_;
  uint64_t offset_, left_;
  uint32_t crc_ = 0;
  std::string buffer_;
};

// Numbers and bytes of the decompressed operations.
class OperationReader {
 public:
  explicit OperationReader(ByteSource& from) : from_(from) {}

  Result<bool> AtEnd() {
    if (!piece_.empty()) return false;
    TRY_ASSIGN(piece_, from_.Next());
    return piece_.empty();
  }
  // Some of the next `limit` bytes, at least one.
  Result<std::string_view> Bytes(uint64_t limit) {
    TRY_ASSIGN(bool end, AtEnd());
    if (end) return Damaged("its operations end early");
    std::string_view bytes = piece_.substr(0, std::min<uint64_t>(limit, piece_.size()));
    piece_.remove_prefix(bytes.size());
    return bytes;
  }
  Result<uint64_t> Varint() {
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      TRY_ASSIGN(std::string_view byte, Bytes(1));
      auto b = static_cast<uint8_t>(byte[0]);
      if (shift == 63 && b > 1) break;
      v |= uint64_t{b & 0x7fu} << shift;
      if (b < 0x80) return v;
    }
    return Damaged("a number is too large");
  }

 private:
  ByteSource& from_;
  std::string_view piece_;
};

class ReferenceReader {
 public:
  ReferenceReader(int fd, const format::Header& header)
      : source_(fd, header.references_offset, header.references_count * format::kReferenceSize),
        left_(header.references_count),
        crc_(header.references_crc) {}

  bool AtEnd() const { return left_ == 0; }
  Result<ObjectRef> Next() {
    if (left_ == 0) return Damaged("it has fewer references than payloads");
    if (piece_.empty()) {
      TRY_ASSIGN(piece_,
                 source_.Take(kSectionPiece / format::kReferenceSize * format::kReferenceSize));
    }
    ByteReader bytes(piece_.substr(0, format::kReferenceSize));
    piece_.remove_prefix(format::kReferenceSize);
    --left_;
    ObjectRef ref{.id = ObjectId(Digest::FromBytes(bytes.Take(Digest::kSize).data()))};
    ref.size = bytes.Read<uint64_t>();
    return ref;
  }
  // REQUIRES: AtEnd().
  Result<> CheckSum() const {
    if (source_.crc() != crc_) return Damaged("the checksum of its references is wrong");
    return {};
  }

 private:
  SectionSource source_;
  std::string_view piece_;
  uint64_t left_;
  uint32_t crc_;
};

Result<format::Header> ReadHeader(int fd) {
  char bytes[format::kHeaderSize];
  TRY_ASSIGN(size_t got, PreadUpTo(fd, bytes, sizeof bytes, 0));
  std::string_view all(bytes, got);
  if (got != sizeof bytes || !all.starts_with(format::kMagic)) return Damaged("it has no header");
  ByteReader r(all.substr(format::kMagic.size()));
  uint32_t version = r.Read<uint32_t>();
  uint32_t flags = r.Read<uint32_t>();
  format::Header h;
  h.tar_size = r.Read<uint64_t>();
  h.operations_offset = r.Read<uint64_t>();
  h.operations_size = r.Read<uint64_t>();
  h.references_offset = r.Read<uint64_t>();
  h.references_count = r.Read<uint64_t>();
  h.operations_crc = r.Read<uint32_t>();
  h.references_crc = r.Read<uint32_t>();
  r.Take(format::kReservedSize);
  if (r.Read<uint32_t>() != Crc32c(all.substr(0, format::kHeaderCrcOffset))) {
    return Damaged("its header's checksum is wrong");
  }
  if (version != format::kVersion || flags != 0) {
    return Invalid("the recipe is of an unknown version", EBADMSG);
  }
  struct stat st;
  if (fstat(fd, &st) != 0) return Errno("stat recipe");
  auto size = static_cast<uint64_t>(st.st_size);
  bool places_fit = h.operations_offset == format::kHeaderSize && h.operations_size <= size &&
                    h.references_offset == h.operations_offset + h.operations_size &&
                    h.references_offset <= size &&
                    h.references_count <= size / format::kReferenceSize &&
                    h.references_offset + h.references_count * format::kReferenceSize == size;
  if (!places_fit) return Damaged("its sections do not fit its size");
  return h;
}

class FileRecipeReader : public RecipeReader {
 public:
  FileRecipeReader(int fd, const format::Header& header) : fd_(fd), header_(header) {}

  uint64_t tar_size() const override { return header_.tar_size; }

  Result<> ForEachObject(const std::function<Result<>(const ObjectRef&)>& visit) override {
    // Summed up first, so that nobody is told of an object that damage made up.
    for (bool report : {false, true}) {
      ReferenceReader references(fd_, header_);
      while (!references.AtEnd()) {
        TRY_ASSIGN(ObjectRef ref, references.Next());
        if (report) TRY(visit(ref));
      }
      TRY(references.CheckSum());
    }
    return {};
  }

  Result<> Rebuild(const std::function<Result<UniqueFd>(const ObjectId&)>& open_object,
                   ByteSink& out) override {
    SectionSource section(fd_, header_.operations_offset, header_.operations_size);
    TRY_ASSIGN(std::unique_ptr<Decompressor> plain, Decompressor::Create(section));
    if (plain->compression() != Compression::kZstd) return Damaged("its operations are no zstd");
    OperationReader operations(*plain);
    ReferenceReader references(fd_, header_);
    uint64_t left = header_.tar_size;
    for (;;) {
      TRY_ASSIGN(bool end, operations.AtEnd());
      if (end) break;
      TRY_ASSIGN(uint64_t op, operations.Varint());
      uint64_t count = op >> 1;
      if (count == 0) return Damaged("an empty operation");
      if (op & format::kPayloadBit) {
        TRY_ASSIGN(ObjectRef ref, references.Next());
        TRY_ASSIGN(UniqueFd object, open_object(ref.id));
        TRY(Payload(operations, count, ref, object.get(), left, out));
      } else {
        TRY(Literal(operations, count, left, out));
      }
    }
    if (left != 0) return Damaged("its operations do not make the tar's size");
    if (!references.AtEnd()) return Damaged("it has more references than payloads");
    TRY(references.CheckSum());
    if (section.crc() != header_.operations_crc) {
      return Damaged("the checksum of its operations is wrong");
    }
    return {};
  }

 private:
  static Result<> Literal(OperationReader& operations, uint64_t size, uint64_t& left,
                          ByteSink& out) {
    if (size > format::kMaxLiteral || size > left) return Damaged("a literal is too long");
    left -= size;
    while (size > 0) {
      TRY_ASSIGN(std::string_view bytes, operations.Bytes(size));
      TRY(out.Write(bytes));
      size -= bytes.size();
    }
    return {};
  }

  Result<> Payload(OperationReader& operations, uint64_t extents, const ObjectRef& ref, int object,
                   uint64_t& left, ByteSink& out) {
    uint64_t at = 0;
    for (; extents > 0; --extents) {
      TRY_ASSIGN(uint64_t skip, operations.Varint());
      TRY_ASSIGN(uint64_t length, operations.Varint());
      if (skip > ref.size - at) return Damaged("an extent lies outside of its object");
      at += skip;
      if (length == 0 || length > ref.size - at || length > left) {
        return Damaged("an extent lies outside of its object");
      }
      left -= length;
      TRY(Copy(object, at, length, out));
      at += length;
    }
    return {};
  }

  Result<> Copy(int object, uint64_t at, uint64_t length, ByteSink& out) {
    while (length > 0) {
      size_t want = std::min<uint64_t>(length, kObjectPiece);
      if (buffer_.size() < want) buffer_.resize(want);
      TRY_ASSIGN(size_t got, PreadUpTo(object, buffer_.data(), want, at));
      if (got != want) {
        return Invalid("an object is shorter than the recipe says", EBADMSG);
      }
      TRY(out.Write(std::string_view(buffer_).substr(0, want)));
      at += want;
      length -= want;
    }
    return {};
  }

  int fd_;
  format::Header header_;
  std::string buffer_;
};

}  // namespace

Result<std::unique_ptr<RecipeReader>> RecipeReader::Open(int fd) {
  TRY_ASSIGN(format::Header header, ReadHeader(fd));
  return std::make_unique<FileRecipeReader>(fd, header);
}

}  // namespace veneer
