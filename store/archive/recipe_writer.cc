#include <algorithm>
#include <string>

#include "store/archive/compression.h"
#include "store/archive/recipe.h"
#include "store/archive/recipe_format.h"
#include "store/base/beneath.h"
#include "store/base/bytes.h"
#include "store/base/crc32c.h"
#include "store/tree/spool.h"

namespace veneer {

namespace {

namespace format = recipe_format;

constexpr size_t kCopyPiece = size_t{64} << 10;

void AppendVarint(std::string& out, uint64_t v) {
  for (; v >= 0x80; v >>= 7) out += static_cast<char>(v | 0x80);
  out += static_cast<char>(v);
}

// Appends to a file at an offset of its own, and sums up what it wrote.
class SummingSink : public ByteSink {
 public:
  SummingSink(int fd, uint64_t offset) : fd_(fd), start_(offset), offset_(offset) {}
  Result<> Write(std::string_view data) override {
    TRY(PwriteAll(fd_, data, offset_));
    offset_ += data.size();
    crc_ = Crc32c(data, crc_);
    return {};
  }
  uint64_t size() const { return offset_ - start_; }
  uint32_t crc() const { return crc_; }

 private:
  int fd_;
  uint64_t start_, offset_;
  uint32_t crc_ = 0;
};

class FileRecipeWriter : public RecipeWriter {
 public:
  FileRecipeWriter(int fd, int scratch_dirfd)
      : fd_(fd), file_(fd, format::kHeaderSize), references_(scratch_dirfd) {}

  Result<> Begin() {
    TRY_ASSIGN(operations_, Compressor::Create(Compression::kZstd, 0, file_));
    return {};
  }

  Result<> Literal(std::string_view data) override {
    while (!data.empty()) {
      size_t n = std::min(data.size(), format::kJoinedLiteral - literal_.size());
      literal_ += data.substr(0, n);
      data.remove_prefix(n);
      if (literal_.size() == format::kJoinedLiteral) TRY(FlushLiteral());
    }
    return {};
  }

  Result<> Payload(const ObjectId& id, uint64_t size,
                   const std::vector<PayloadExtent>& extents) override {
    std::string op;
    uint64_t count = 0, end = 0;
    for (const PayloadExtent& e : extents) {
      if (e.length == 0) continue;
      if (e.offset < end || e.offset > size || e.length > size - e.offset) {
        return Fail(EINVAL, "recipe: extents outside of their object");
      }
      AppendVarint(op, e.offset - end);
      AppendVarint(op, e.length);
      end = e.offset + e.length;
      header_.tar_size += e.length;
      ++count;
    }
    if (count == 0) return {};
    TRY(FlushLiteral());
    std::string first;
    AppendVarint(first, count << 1 | format::kPayloadBit);
    TRY(operations_->Write(first));
    TRY(operations_->Write(op));

    std::string reference(id.digest.view());
    AppendLE(reference, size);
    ++header_.references_count;
    return references_.Append(reference);
  }

  Result<> Finish() override {
    TRY(FlushLiteral());
    TRY(operations_->Finish());
    header_.operations_size = file_.size();
    header_.operations_crc = file_.crc();
    header_.references_offset = header_.operations_offset + header_.operations_size;
    TRY(WriteReferences());
    return WriteHeader();
  }

 private:
  Result<> FlushLiteral() {
    if (literal_.empty()) return {};
    std::string op;
    AppendVarint(op, uint64_t{literal_.size()} << 1);
    TRY(operations_->Write(op));
    TRY(operations_->Write(literal_));
    header_.tar_size += literal_.size();
    literal_.clear();
    return {};
  }

  Result<> WriteReferences() {
    SummingSink out(fd_, header_.references_offset);
    std::string piece;
    for (uint64_t at = 0; at < references_.size(); at += piece.size()) {
      piece.resize(std::min<uint64_t>(kCopyPiece, references_.size() - at));
      TRY(references_.Read(at, piece.data(), piece.size()));
      TRY(out.Write(piece));
    }
    header_.references_crc = out.crc();
    return {};
  }

  Result<> WriteHeader() {
    std::string bytes(format::kMagic);
    AppendLE(bytes, format::kVersion);
    AppendLE(bytes, uint32_t{0});
    AppendLE(bytes, header_.tar_size);
    AppendLE(bytes, header_.operations_offset);
    AppendLE(bytes, header_.operations_size);
    AppendLE(bytes, header_.references_offset);
    AppendLE(bytes, header_.references_count);
    AppendLE(bytes, header_.operations_crc);
    AppendLE(bytes, header_.references_crc);
    bytes.append(format::kReservedSize, '\0');
    AppendLE(bytes, Crc32c(bytes));
    return PwriteAll(fd_, bytes, 0);
  }

  int fd_;
  SummingSink file_;
  std::unique_ptr<Compressor> operations_;
  std::string literal_;  // not yet written
  tree::Spool references_;
  format::Header header_;
};

}  // namespace

Result<std::unique_ptr<RecipeWriter>> RecipeWriter::Create(int fd, int scratch_dirfd) {
  auto writer = std::make_unique<FileRecipeWriter>(fd, scratch_dirfd);
  TRY(writer->Begin());
  return writer;
}

}  // namespace veneer
