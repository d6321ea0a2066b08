#include "tools/build/context_archive.h"

#include <archive.h>
#include <archive_entry.h>
#include <unistd.h>

#include <array>
#include <memory>

#include "store/archive/scoped_locale.h"
#include "tools/build/language/text.h"

namespace veneer::build {
namespace {

struct Input {
  std::string_view head;
  int fd = -1;
  std::array<char, 65536> buffer;
};

la_ssize_t OnRead(struct archive* archive, void* user, const void** data) {
  auto* input = static_cast<Input*>(user);
  if (!input->head.empty()) {
    *data = input->head.data();
    const auto size = static_cast<la_ssize_t>(input->head.size());
    input->head = {};
    return size;
  }
  *data = input->buffer.data();
  for (;;) {
    const ssize_t n = read(input->fd, input->buffer.data(), input->buffer.size());
    if (n >= 0) return n;
    if (errno == EINTR) continue;
    archive_set_error(archive, errno, "read");
    return -1;
  }
}

std::unexpected<Error> Broken(struct archive* archive, const char* what) {
  const char* const why = archive_error_string(archive);
  return Invalid(std::string(what) + ": " + (why != nullptr ? why : "damaged"), EBADMSG);
}

Result<std::string> Inside(const std::string& directory, const char* name) {
  if (name == nullptr) return Invalid("the build context has a name that cannot be read", EBADMSG);
  for (const std::string& part : Split(name, '/')) {
    if (part == "..")
      return Invalid("the build context has a name that leads out of it: " + std::string(name));
  }
  return directory + CleanPath("/" + std::string(name));
}

}  // namespace

bool LooksLikeArchive(std::string_view head) {
  using namespace std::string_view_literals;
  constexpr size_t kMagicAt = 257;
  if (head.size() > kMagicAt + 5 && head.substr(kMagicAt, 5) == "ustar") return true;
  for (const std::string_view magic : {"\x1f\x8b\x08"sv, "BZh"sv,
                                       "\xfd"
                                       "7zXZ\0"sv,
                                       "\x28\xb5\x2f\xfd"sv}) {
    if (head.starts_with(magic)) return true;
  }
  return false;
}

Result<> UnpackContext(std::string_view head, int fd, const std::string& directory) {
  const ScopedLocale locale("C.UTF-8");
  const std::unique_ptr<struct archive, decltype(&archive_read_free)> reader(archive_read_new(),
                                                                             archive_read_free);
  const std::unique_ptr<struct archive, decltype(&archive_write_free)> writer(
      archive_write_disk_new(), archive_write_free);
  if (!reader || !writer) return Fail(ENOMEM, "unpack the build context");
  archive_read_support_format_tar(reader.get());
  for (auto* support : {archive_read_support_filter_gzip, archive_read_support_filter_bzip2,
                        archive_read_support_filter_xz, archive_read_support_filter_zstd}) {
    support(reader.get());
  }
  archive_write_disk_set_options(
      writer.get(), ARCHIVE_EXTRACT_PERM | ARCHIVE_EXTRACT_TIME | ARCHIVE_EXTRACT_XATTR |
                        ARCHIVE_EXTRACT_SECURE_NODOTDOT | ARCHIVE_EXTRACT_SECURE_SYMLINKS);
  auto input = std::make_unique<Input>();
  input->head = head;
  input->fd = fd;
  if (archive_read_open(reader.get(), input.get(), nullptr, OnRead, nullptr) != ARCHIVE_OK)
    return Broken(reader.get(), "the build context");
  for (;;) {
    struct archive_entry* entry = nullptr;
    const int got = archive_read_next_header(reader.get(), &entry);
    if (got == ARCHIVE_EOF) break;
    if (got < ARCHIVE_WARN) return Broken(reader.get(), "the build context");
    TRY_ASSIGN(const std::string path, Inside(directory, archive_entry_pathname(entry)));
    archive_entry_set_pathname(entry, path.c_str());
    if (archive_entry_hardlink(entry) != nullptr) {
      TRY_ASSIGN(const std::string target, Inside(directory, archive_entry_hardlink(entry)));
      archive_entry_set_hardlink(entry, target.c_str());
    }
    if (archive_read_extract2(reader.get(), entry, writer.get()) < ARCHIVE_WARN)
      return Broken(reader.get(), "cannot unpack the build context");
  }
  if (archive_write_close(writer.get()) < ARCHIVE_WARN)
    return Broken(writer.get(), "cannot unpack the build context");
  return {};
}

}  // namespace veneer::build
