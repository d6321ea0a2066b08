#include <archive.h>
#include <archive_entry.h>

#include <algorithm>
#include <new>
#include <string>

#include "store/archive/compression.h"
#include "store/archive/gzip_check.h"

namespace veneer {

namespace {

constexpr size_t kHeadSize = 8;

class PassThrough : public Decompressor {
 public:
  PassThrough(std::string head, std::string_view first, ByteSource& rest)
      : head_(std::move(head)), source_(head_.empty() ? first : head_, rest) {}
  Result<std::string_view> Next() override { return source_.Next(); }
  Compression compression() const override { return Compression::kNone; }

 private:
  std::string head_;
  PrefixedSource source_;
};

struct FreeArchive {
  void operator()(archive* a) const { archive_read_free(a); }
};

int FilterOf(Compression c) {
  switch (c) {
    case Compression::kGzip:
      return ARCHIVE_FILTER_GZIP;
    case Compression::kZstd:
      return ARCHIVE_FILTER_ZSTD;
    case Compression::kXz:
      return ARCHIVE_FILTER_XZ;
    case Compression::kBzip2:
      return ARCHIVE_FILTER_BZIP2;
    case Compression::kNone:
      break;
  }
  return ARCHIVE_FILTER_NONE;
}

// libarchive's raw reader behind exactly one filter: left to itself it would also unpack what it
// finds inside.
class FilterDecompressor : public Decompressor {
 public:
  FilterDecompressor(Compression how, std::string head, std::string_view first, ByteSource& rest)
      : how_(how), head_(std::move(head)), source_(head_.empty() ? first : head_, rest) {}

  Compression compression() const override { return how_; }

  Result<std::string_view> Next() override {
    if (state_ == State::kNew) TRY(Open());
    if (state_ == State::kData) {
      const void* data = nullptr;
      size_t size = 0;
      int64_t offset = 0;
      int r;
      do {
        r = archive_read_data_block(archive_.get(), &data, &size, &offset);
      } while (r == ARCHIVE_OK && size == 0);
      if (r == ARCHIVE_OK) {
        std::string_view out(static_cast<const char*>(data), size);
        if (how_ == Compression::kGzip) gzip_.Output(out, Consumed());
        return out;
      }
      if (r != ARCHIVE_EOF) return Failed();
      TRY(Finish());
    }
    if (state_ == State::kFailed) return Failed();
    return std::string_view();
  }

 private:
  enum class State { kNew, kData, kEnd, kFailed };

  Result<> Open() {
    state_ = State::kFailed;
    archive_.reset(archive_read_new());
    if (!archive_) return Fail(ENOMEM, "decompress");
    archive* a = archive_.get();
    archive_entry* entry = nullptr;
    if (archive_read_support_format_raw(a) != ARCHIVE_OK ||
        archive_read_support_format_empty(a) != ARCHIVE_OK ||
        archive_read_append_filter(a, FilterOf(how_)) != ARCHIVE_OK ||
        archive_read_open(a, this, nullptr, &FilterDecompressor::OnRead, nullptr) != ARCHIVE_OK) {
      return Failed();
    }
    // A stream that fails before its first byte looks empty to the format detection.
    if (archive_errno(a) != 0 || !error_) return Failed();
    int r = archive_read_next_header(a, &entry);
    if (r == ARCHIVE_EOF) return Finish();
    if (r != ARCHIVE_OK) return Failed();
    state_ = State::kData;
    return {};
  }

  // The compressed stream has ended; only zeros may follow (gzip(1) lets tapes pad).
  Result<> Finish() {
    state_ = State::kFailed;
    uint64_t unread = given_ - Consumed();
    std::string seen = last_ + std::string(End(current_, unread + GzipCheck::kTrailerSize));
    if (unread > seen.size()) return Garbage();
    std::string_view rest = End(seen, unread);
    if (how_ == Compression::kGzip) {
      std::string_view before = std::string_view(seen).substr(0, seen.size() - unread);
      if (!gzip_.Ended(End(before, GzipCheck::kTrailerSize))) return Bad("wrong checksum");
    }
    for (;;) {
      if (rest.find_first_not_of('\0') != rest.npos) return Garbage();
      if (ended_) break;
      TRY_ASSIGN(rest, source_.Next());
      if (rest.empty()) break;
    }
    state_ = State::kEnd;
    return {};
  }

  static la_ssize_t OnRead(archive* a, void* self, const void** buffer) {
    auto* reader = static_cast<FilterDecompressor*>(self);
    Result<> read;
    try {
      read = reader->Fill();
    } catch (const std::bad_alloc&) {  // must not unwind through libarchive
      read = Fail(ENOMEM, "decompress");
    }
    if (!read) {
      archive_set_error(a, read.error().code(), "%s", read.error().context().c_str());
      reader->error_ = std::move(read);
      return ARCHIVE_FATAL;
    }
    *buffer = reader->current_.data();
    return static_cast<la_ssize_t>(reader->current_.size());
  }

  Result<> Fill() {
    // Filters look a few bytes ahead for another member; those bytes outlive their piece here.
    constexpr size_t kKept = 32;
    last_ += End(current_, kKept);
    last_ = std::string(End(last_, kKept));
    current_ = {};
    if (ended_) return {};
    TRY_ASSIGN(current_, source_.Next());
    given_ += current_.size();
    ended_ = current_.empty();
    if (how_ == Compression::kGzip) gzip_.Input(current_);
    return {};
  }

  // Of the compressed bytes, by the filter.
  uint64_t Consumed() const {
    return static_cast<uint64_t>(archive_filter_bytes(archive_.get(), -1));
  }

  static std::string_view End(std::string_view s, uint64_t size) {
    return s.substr(s.size() - std::min<uint64_t>(size, s.size()));
  }

  std::unexpected<Error> Failed() {
    state_ = State::kFailed;
    if (!error_) return std::unexpected(error_.error());
    if (!archive_ || archive_errno(archive_.get()) == ENOMEM) return Fail(ENOMEM, "decompress");
    const char* why = archive_error_string(archive_.get());
    return Bad(why ? why : "unreadable");
  }
  std::unexpected<Error> Garbage() const { return Bad("garbage after its end"); }
  std::unexpected<Error> Bad(const std::string& why) const {
    return Invalid("the " + std::string(CompressionName(how_)) + " stream is damaged: " + why,
                   EBADMSG);
  }

  const Compression how_;
  std::string head_;
  PrefixedSource source_;
  std::unique_ptr<archive, FreeArchive> archive_;
  State state_ = State::kNew;
  std::string_view current_;  // the piece libarchive was given last
  std::string last_;          // the end of what was given before it
  uint64_t given_ = 0;
  GzipCheck gzip_;
  bool ended_ = false;
  Result<> error_;  // from below libarchive
};

}  // namespace

Result<std::unique_ptr<Decompressor>> Decompressor::Create(ByteSource& from) {
  TRY_ASSIGN(std::string_view first, from.Next());
  std::string head;  // only where the first piece is too short to tell
  if (!first.empty() && first.size() < kHeadSize) {
    head = first;
    while (head.size() < kHeadSize) {
      TRY_ASSIGN(std::string_view more, from.Next());
      if (more.empty()) break;
      head += more;
    }
    first = head;
  }
  Compression how = DetectCompression(first);
  std::unique_ptr<Decompressor> made;
  if (how == Compression::kNone) {
    made = std::make_unique<PassThrough>(std::move(head), first, from);
  } else {
    made = std::make_unique<FilterDecompressor>(how, std::move(head), first, from);
  }
  return made;
}

}  // namespace veneer
