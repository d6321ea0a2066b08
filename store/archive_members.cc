#include "store/archive_members.h"

#include <archive.h>
#include <archive_entry.h>
#include <sys/stat.h>

#include <optional>

namespace veneer {
namespace {

struct FreeArchive {
  void operator()(archive* a) const { archive_read_free(a); }
};

class Members : public ArchiveMembers, private ByteSource {
 public:
  explicit Members(ByteSource& tar) : tar_(tar), archive_(archive_read_new()) {}

  Result<> Open() {
    if (!archive_) return Fail(ENOMEM, "archive");
    archive_read_support_format_tar(archive_.get());
    archive_read_support_format_empty(archive_.get());
    archive_read_set_options(archive_.get(), "hdrcharset=BINARY");
    archive_read_set_callback_data(archive_.get(), this);
    archive_read_set_read_callback(archive_.get(), &Members::Read);
    if (archive_read_open1(archive_.get()) != ARCHIVE_OK) return Failure();
    return {};
  }

  Result<bool> Next(ArchiveMember& member) override {
    archive_entry* entry = nullptr;
    int code = archive_read_next_header(archive_.get(), &entry);
    if (code == ARCHIVE_EOF) {
      // What follows the end marker is read too: a damaged compressed stream must not pass for a
      // whole one.
      for (;;) {
        TRY_ASSIGN(std::string_view rest, tar_.Next());
        if (rest.empty()) return false;
      }
    }
    if (code != ARCHIVE_OK && code != ARCHIVE_WARN) return Failure();
    member = {};
    const char* path = archive_entry_pathname(entry);
    member.path = Clean(path ? path : "");
    if (const char* target = archive_entry_hardlink(entry)) {
      member.type = ArchiveMember::Type::kLink;
      member.hard_link = true;
      member.target = target;
    } else if (const char* symlink = archive_entry_symlink(entry)) {
      member.type = ArchiveMember::Type::kLink;
      member.target = symlink;
    } else if (archive_entry_filetype(entry) == AE_IFREG) {
      member.type = ArchiveMember::Type::kFile;
      member.size = static_cast<uint64_t>(archive_entry_size(entry));
    }
    expected_ = member.size;
    at_ = 0;
    return true;
  }

  ByteSource& content() override { return *this; }

 private:
  static std::string Clean(std::string_view path) {
    while (path.starts_with("./") || path.starts_with('/'))
      path.remove_prefix(path[0] == '/' ? 1 : 2);
    while (path.ends_with('/')) path.remove_suffix(1);
    return std::string(path);
  }

  // ByteSource: the present member's content.
  Result<std::string_view> Next() override {
    const void* data = nullptr;
    size_t size = 0;
    la_int64_t offset = 0;
    do {
      int code = archive_read_data_block(archive_.get(), &data, &size, &offset);
      if (code == ARCHIVE_EOF) {
        if (at_ != expected_) return Invalid("the archive has a sparse member", EBADMSG);
        return std::string_view();
      }
      if (code != ARCHIVE_OK && code != ARCHIVE_WARN) return Failure();
      if (size > 0 && static_cast<uint64_t>(offset) != at_) {
        return Invalid("the archive has a sparse member", EBADMSG);
      }
    } while (size == 0);
    at_ += size;
    return std::string_view(static_cast<const char*>(data), size);
  }

  static la_ssize_t Read(archive* a, void* self, const void** buffer) {
    auto* members = static_cast<Members*>(self);
    auto next = members->tar_.Next();
    if (!next) {
      members->source_error_ = next.error();
      archive_set_error(a, EIO, "source");
      return ARCHIVE_FATAL;
    }
    *buffer = next->data();
    return static_cast<la_ssize_t>(next->size());
  }

  std::unexpected<Error> Failure() {
    if (source_error_) return std::unexpected(*source_error_);
    const char* text = archive_error_string(archive_.get());
    std::string reason = text ? text : "unreadable";
    if (reason.find("Unrecognized archive format") != reason.npos)
      return Invalid("not a tar archive", EBADMSG);
    return Invalid("damaged archive: " + reason, EBADMSG);
  }

  ByteSource& tar_;
  std::unique_ptr<archive, FreeArchive> archive_;
  std::optional<Error> source_error_;
  uint64_t expected_ = 0;
  uint64_t at_ = 0;
};

}  // namespace

Result<std::unique_ptr<ArchiveMembers>> ArchiveMembers::Create(ByteSource& tar) {
  auto members = std::make_unique<Members>(tar);
  TRY(members->Open());
  return members;
}

}  // namespace veneer
