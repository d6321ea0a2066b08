#include <archive.h>
#include <archive_entry.h>
#include <sys/stat.h>

#include <string>

#include "store/archive/compression.h"

namespace veneer {

namespace {

struct FreeArchive {
  void operator()(archive* a) const { archive_write_free(a); }
};

class PassOn : public Compressor {
 public:
  explicit PassOn(ByteSink& to) : to_(to) {}
  Result<> Write(std::string_view data) override { return to_.Write(data); }
  Result<> Finish() override { return {}; }

 private:
  ByteSink& to_;
};

class FilterCompressor : public Compressor {
 public:
  explicit FilterCompressor(ByteSink& to) : to_(to) {}
  ~FilterCompressor() override {
    // libarchive ends the stream on its way out; one that was not finished must not look whole.
    if (error_) error_ = Fail(ECANCELED, "compress");
  }

  Result<> Open(Compression how, int level) {
    archive_.reset(archive_write_new());
    if (!archive_) return Fail(ENOMEM, "compress");
    archive* a = archive_.get();
    if (archive_write_set_format_raw(a) != ARCHIVE_OK || AddFilter(how) != ARCHIVE_OK) {
      return Failed();
    }
    if (level > 0 && archive_write_set_filter_option(a, nullptr, "compression-level",
                                                     std::to_string(level).c_str()) != ARCHIVE_OK) {
      return Invalid("not a compression level: " + std::to_string(level));
    }
    if (how == Compression::kGzip &&
        archive_write_set_filter_option(a, "gzip", "timestamp", nullptr) != ARCHIVE_OK) {
      return Failed();
    }
    std::unique_ptr<archive_entry, void (*)(archive_entry*)> entry(archive_entry_new(),
                                                                   archive_entry_free);
    if (!entry) return Fail(ENOMEM, "compress");
    archive_entry_set_filetype(entry.get(), AE_IFREG);
    // Whole buffers of the filter go out as they are, without padding.
    if (archive_write_set_bytes_per_block(a, 0) != ARCHIVE_OK ||
        archive_write_open(a, this, nullptr, &FilterCompressor::OnWrite, nullptr) != ARCHIVE_OK ||
        archive_write_header(a, entry.get()) != ARCHIVE_OK || !error_) {
      return Failed();
    }
    return {};
  }

  Result<> Write(std::string_view data) override {
    while (!data.empty()) {
      la_ssize_t n = archive_write_data(archive_.get(), data.data(), data.size());
      if (n <= 0 || !error_) return Failed();
      data.remove_prefix(static_cast<size_t>(n));
    }
    return {};
  }

  Result<> Finish() override {
    if (archive_write_close(archive_.get()) != ARCHIVE_OK || !error_) return Failed();
    return {};
  }

 private:
  int AddFilter(Compression how) {
    archive* a = archive_.get();
    switch (how) {
      case Compression::kGzip:
        return archive_write_add_filter_gzip(a);
      case Compression::kZstd:
        return archive_write_add_filter_zstd(a);
      case Compression::kXz:
        return archive_write_add_filter_xz(a);
      case Compression::kBzip2:
        return archive_write_add_filter_bzip2(a);
      case Compression::kNone:
        break;
    }
    return archive_write_add_filter_none(a);
  }

  // Always succeeds: libarchive leaks its filters' memory after a failed write. Whoever called it
  // looks at error_ instead, and nothing is written any more.
  static la_ssize_t OnWrite(archive*, void* self, const void* data, size_t size) {
    auto* writer = static_cast<FilterCompressor*>(self);
    if (writer->error_) {
      try {
        writer->error_ = writer->to_.Write({static_cast<const char*>(data), size});
      } catch (const std::bad_alloc&) {  // must not unwind through libarchive
        writer->error_ = Fail(ENOMEM, "compress");
      }
    }
    return static_cast<la_ssize_t>(size);
  }

  std::unexpected<Error> Failed() {
    if (!error_) return std::unexpected(error_.error());
    archive* a = archive_.get();
    const char* why = archive_error_string(a);
    int code = archive_errno(a) > 0 ? archive_errno(a) : EIO;
    return Fail(code, std::string("compress: ") + (why ? why : "failed"));
  }

  ByteSink& to_;
  Result<> error_;  // from the sink
  std::unique_ptr<archive, FreeArchive> archive_;
};

}  // namespace

Result<std::unique_ptr<Compressor>> Compressor::Create(Compression how, int level, ByteSink& to) {
  std::unique_ptr<Compressor> made;
  if (how == Compression::kNone) {
    made = std::make_unique<PassOn>(to);
    return made;
  }
  auto filter = std::make_unique<FilterCompressor>(to);
  TRY(filter->Open(how, level));
  made = std::move(filter);
  return made;
}

}  // namespace veneer
