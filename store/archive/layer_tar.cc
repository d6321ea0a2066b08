#include "store/archive/layer_tar.h"

#include <archive.h>
#include <archive_entry.h>

#include <algorithm>
#include <new>

#include "store/archive/scoped_locale.h"
#include "store/archive/tar_entry.h"
#include "store/archive/tar_framer.h"

namespace veneer {

namespace {

// Bounds what the framer queues ahead of libarchive, however large the source's pieces are.
constexpr size_t kMaxChunk = size_t{256} << 10;

struct FreeArchive {
  void operator()(archive* a) const { archive_read_free(a); }
};

class LayerTarReader {
 public:
  LayerTarReader(ByteSource& tar, LayerTarVisitor& visitor) : source_(tar), visitor_(visitor) {}

  Result<> Run() {
    TRY(Open());
    for (;;) {
      archive_entry* entry = nullptr;
      int r = archive_read_next_header(archive_.get(), &entry);
      if (r == ARCHIVE_EOF) break;
      // Warnings are about names that are not the locale's and records the framer has judged
      // already.
      if (r != ARCHIVE_OK && r != ARCHIVE_WARN) return Failed();
      std::optional<TarFrame> frame = framer_.TakeFrame();
      if (!frame) return Disagreement("an entry that libarchive sees alone");
      TRY(OnEntry(entry, *frame));
    }
    while (!ended_) {
      std::string_view unused;
      TRY(Fill(unused));
    }
    if (framer_.TakeFrame()) return Disagreement("an entry that libarchive does not see");
    return {};
  }

 private:
  Result<> Open() {
    archive_.reset(archive_read_new());
    if (!archive_) return Fail(ENOMEM, "tar");
    archive* a = archive_.get();
    if (archive_read_support_format_tar(a) != ARCHIVE_OK ||
        archive_read_set_options(a, "tar:!mac-ext") != ARCHIVE_OK ||
        archive_read_open(a, this, nullptr, &LayerTarReader::OnRead, nullptr) != ARCHIVE_OK) {
      return Failed();
    }
    return {};
  }

  // Gets the next bytes for libarchive; the framer sees them first.
  Result<> Fill(std::string_view& out) {
    if (chunk_.empty() && !ended_) {
      TRY_ASSIGN(chunk_, source_.Next());
      if (chunk_.empty()) {
        ended_ = true;
        TRY(framer_.End());
      }
    }
    out = chunk_.substr(0, kMaxChunk);
    chunk_.remove_prefix(out.size());
    TRY(framer_.Feed(out));
    return FlushLiterals();
  }

  static la_ssize_t OnRead(archive* a, void* self, const void** buffer) {
    auto* reader = static_cast<LayerTarReader*>(self);
    std::string_view data;
    Result<> filled;
    try {
      filled = reader->Fill(data);
    } catch (const std::bad_alloc&) {  // must not unwind through libarchive
      filled = Fail(ENOMEM, "tar");
    }
    if (!filled) {
      archive_set_error(a, filled.error().code(), "%s", filled.error().context().c_str());
      reader->error_ = std::move(filled);
      return ARCHIVE_FATAL;
    }
    *buffer = data.data();
    return static_cast<la_ssize_t>(data.size());
  }

  Result<> FlushLiterals() {
    std::string_view literals = framer_.TakeLiterals();
    if (literals.empty()) return {};
    return visitor_.OnLiteral(literals);
  }

  Result<> OnEntry(archive_entry* entry, const TarFrame& frame) {
    if (archive_read_header_position(archive_.get()) != static_cast<int64_t>(frame.start) ||
        archive_filter_bytes(archive_.get(), 0) != static_cast<int64_t>(frame.body)) {
      return TwoReadings(frame, "place");
    }
    Result<TarEntry> made = MakeTarEntry(entry, frame);
    if (!made) return std::unexpected(made.error().Within("tar entry " + QuoteTarPath(frame.path)));
    TRY(visitor_.OnEntry(*made));
    extents_.clear();
    if (frame.payload > 0) TRY(ReadContent(frame, made->attr.size));
    TRY(visitor_.OnEntryEnd());
    if (frame.payload > 0) {
      TRY(FlushLiterals());
      TRY(visitor_.OnPayload(extents_));
      framer_.PassPayload();
    }
    return FlushLiterals();
  }

  Result<> ReadContent(const TarFrame& frame, uint64_t size) {
    uint64_t read = 0;
    for (;;) {
      const void* data = nullptr;
      size_t length = 0;
      int64_t at = 0;
      int r = archive_read_data_block(archive_.get(), &data, &length, &at);
      if (r == ARCHIVE_EOF) break;
      if (r != ARCHIVE_OK) return Failed();
      if (length == 0) continue;
      auto offset = static_cast<uint64_t>(at);
      uint64_t end = extents_.empty() ? 0 : extents_.back().offset + extents_.back().length;
      // The bytes libarchive hands out must be the very bytes that the framer left out of the
      // literals.
      bool same_bytes =
          archive_filter_bytes(archive_.get(), 0) == static_cast<int64_t>(frame.body + read);
      if (!same_bytes || at < 0 || offset < end || offset > size || length > size - offset ||
          length > frame.payload - read) {
        return TwoReadings(frame, "content");
      }
      if (!extents_.empty() && offset == end) {
        extents_.back().length += length;
      } else {
        extents_.push_back({.offset = offset, .length = length});
      }
      read += length;
      TRY(visitor_.OnContent(offset, {static_cast<const char*>(data), length}));
    }
    if (read != frame.payload) return TwoReadings(frame, "content");
    return {};
  }

  std::unexpected<Error> Failed() {
    if (!error_) return std::unexpected(error_.error());
    archive* a = archive_.get();
    if (archive_errno(a) == ENOMEM) return Fail(ENOMEM, "tar");
    const char* why = archive_error_string(a);
    return Invalid(std::string("the tar is damaged: ") + (why ? why : "unreadable"), EBADMSG);
  }

  static std::unexpected<Error> TwoReadings(const TarFrame& frame, const std::string& of_its) {
    return Invalid("tar entry " + QuoteTarPath(frame.path) + ": two readings of its " + of_its,
                   EBADMSG);
  }
  static std::unexpected<Error> Disagreement(const std::string& what) {
    return Invalid("the tar has " + what, EBADMSG);
  }

  ByteSource& source_;
  LayerTarVisitor& visitor_;
  TarFramer framer_;
  std::unique_ptr<archive, FreeArchive> archive_;
  std::string_view chunk_;  // of the source, not yet given to libarchive
  bool ended_ = false;      // the source has
  Result<> error_;          // from below libarchive
  std::vector<PayloadExtent> extents_;
};

}  // namespace

Result<> ReadLayerTar(ByteSource& tar, LayerTarVisitor& visitor) {
  TRY_ASSIGN(std::string_view first, tar.Next());
  if (first.empty()) return {};
  // In this locale nothing but ASCII can be converted, and libarchive leaves what it cannot convert
  // as it is.
  ScopedLocale plain("C");
  if (!plain) return Errno("newlocale");
  PrefixedSource source(first, tar);
  return LayerTarReader(source, visitor).Run();
}

}  // namespace veneer
