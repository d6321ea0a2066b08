#include "store/layout_target.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <filesystem>
#include <optional>

#include "store/base/beneath.h"
#include "store/base/digest.h"
#include "store/directory.h"
#include "store/lease.h"

namespace veneer {
namespace {

constexpr size_t kMaxJson = 64 << 20;
constexpr int kTarBlock = 256 << 10;  // bytes handed to the sink at once

Result<> WrongSize(const std::string& path) {
  return Invalid("'" + path + "' came out in another size than recorded", EBADMSG);
}

class TarTarget : public LayoutTarget {
 public:
  explicit TarTarget(ByteSink& out) : out_(out) {}
  ~TarTarget() override {
    if (archive_) archive_write_free(archive_);
  }

  Result<> Open() {
    archive_ = archive_write_new();
    if (!archive_) return Fail(ENOMEM, "tar writer");
    archive_write_set_format_pax_restricted(archive_);
    archive_write_set_bytes_per_block(archive_, kTarBlock);
    archive_write_set_bytes_in_last_block(archive_, 1);  // no padding behind the end marker
    return Done(archive_write_open(archive_, this, nullptr, WriteCallback, nullptr));
  }

  Result<> Directory(const std::string& path) override {
    return Header(path + "/", AE_IFDIR, 0755, 0);
  }

  Result<> File(const std::string& path, std::string_view content) override {
    return Stream(path, content.size(), [&](ByteSink& sink) { return sink.Write(content); });
  }

  Result<> Stream(const std::string& path, uint64_t size, const Producer& produce) override {
    TRY(Header(path, AE_IFREG, 0644, size));
    Content content(*this, size);
    TRY(produce(content));
    if (content.left != 0) return WrongSize(path);
    return Done(archive_write_finish_entry(archive_));
  }

  Result<std::string> Existing(const std::string&) override { return std::string(); }
  Result<> Finish() override { return Done(archive_write_close(archive_)); }

 private:
  struct Content : ByteSink {
    Content(TarTarget& to, uint64_t size) : target(to), left(size) {}
    Result<> Write(std::string_view data) override {
      if (data.size() > left) return WrongSize("layer");
      left -= data.size();
      while (!data.empty()) {
        la_ssize_t n = archive_write_data(target.archive_, data.data(), data.size());
        if (n <= 0) return target.Done(ARCHIVE_FATAL);
        data.remove_prefix(static_cast<size_t>(n));
      }
      return {};
    }
    TarTarget& target;
    uint64_t left;
  };

  static la_ssize_t WriteCallback(struct archive*, void* self, const void* data, size_t size) {
    auto* target = static_cast<TarTarget*>(self);
    if (!target->written_) return -1;
    target->written_ = target->out_.Write({static_cast<const char*>(data), size});
    return target->written_ ? static_cast<la_ssize_t>(size) : -1;
  }

  // The sink's own error says more than libarchive's.
  Result<> Done(int status) {
    if (!written_) return written_;
    if (status >= ARCHIVE_WARN) return {};
    const char* text = archive_error_string(archive_);
    return Invalid(std::string("tar writer: ") + (text ? text : "failed"), EIO);
  }

  Result<> Header(const std::string& path, unsigned type, int permissions, uint64_t size) {
    std::unique_ptr<archive_entry, decltype(&archive_entry_free)> entry(archive_entry_new(),
                                                                        archive_entry_free);
    if (!entry) return Fail(ENOMEM, "tar writer");
    archive_entry_set_pathname(entry.get(), path.c_str());
    archive_entry_set_filetype(entry.get(), type);
    archive_entry_set_perm(entry.get(), static_cast<mode_t>(permissions));
    archive_entry_set_size(entry.get(), static_cast<la_int64_t>(size));
    archive_entry_set_mtime(entry.get(), 0, 0);
    return Done(archive_write_header(archive_, entry.get()));
  }

  ByteSink& out_;
  Result<> written_;
  struct archive* archive_ = nullptr;
};

// The digest a blob's path promises.
std::optional<Digest> DigestInPath(const std::string& path) {
  auto digest = Digest::ParseHex(std::string_view(path).substr(path.rfind('/') + 1));
  if (!digest) return std::nullopt;
  return *digest;
}

class DirectoryTarget : public LayoutTarget {
 public:
  explicit DirectoryTarget(UniqueFd dir) : dir_(std::move(dir)) {}

  Result<> Directory(const std::string& path) override { return EnsureDir(dir_.get(), path, 0755); }

  Result<> File(const std::string& path, std::string_view content) override {
    return Stream(path, content.size(), [&](ByteSink& sink) { return sink.Write(content); });
  }

  Result<> Stream(const std::string& path, uint64_t size, const Producer& produce) override {
    if (IsThere(path)) return {};
    std::string folder = path.substr(0, path.find_last_of('/') + 1);
    Temporary temporary(dir_.get(), folder + ".new-" + RandomHex().substr(0, 16));
    TRY_ASSIGN(UniqueFd fd, OpenAt(dir_.get(), temporary.path, O_WRONLY | O_CREAT | O_EXCL, 0644));
    FdSink sink(fd.get());
    TRY(produce(sink));
    TRY_ASSIGN(struct stat st, StatAt(fd.get(), "", AT_EMPTY_PATH));
    if (static_cast<uint64_t>(st.st_size) != size) return WrongSize(path);
    if (fsync(fd.get()) != 0) return Errno("fsync " + path);
    if (renameat(dir_.get(), temporary.path.c_str(), dir_.get(), path.c_str()) != 0)
      return Errno("rename " + path);
    temporary.path.clear();
    return FsyncDir(dir_.get(), folder.empty() ? "." : folder);
  }

  Result<std::string> Existing(const std::string& path) override {
    auto content = ReadFileAt(dir_.get(), path, kMaxJson);
    if (!content && content.error().code() == ENOENT) return std::string();
    return content;
  }

  Result<> Finish() override { return {}; }

 private:
  struct Temporary {
    Temporary(int dir, std::string name) : dirfd(dir), path(std::move(name)) {}
    ~Temporary() {
      if (!path.empty()) unlinkat(dirfd, path.c_str(), 0);
    }
    Temporary(const Temporary&) = delete;
    Temporary& operator=(const Temporary&) = delete;
    int dirfd;
    std::string path;  // empty once it has its own name
  };

  bool IsThere(const std::string& path) {
    auto promised = DigestInPath(path);
    if (!promised) return false;
    auto fd = OpenAt(dir_.get(), path, O_RDONLY | O_NOFOLLOW);
    if (!fd) return false;
    FdSource source(fd->get());
    HashingSource hashed(source);
    return hashed.Drain() && hashed.digest() == *promised;
  }

  UniqueFd dir_;
};

}  // namespace

Result<std::unique_ptr<LayoutTarget>> LayoutTarget::Tar(ByteSink& out) {
  auto target = std::make_unique<TarTarget>(out);
  TRY(target->Open());
  return target;
}

Result<std::unique_ptr<LayoutTarget>> LayoutTarget::InDirectory(const std::string& directory) {
  std::error_code ec;
  std::filesystem::create_directories(directory, ec);
  if (ec) return Fail(ec.value(), "create '" + directory + "'");
  TRY_ASSIGN(UniqueFd dir, OpenAt(AT_FDCWD, directory, O_RDONLY | O_DIRECTORY));
  TRY_ASSIGN(auto names, ListDirectory(dir.get(), "."));
  if (!names.empty() && faccessat(dir.get(), "oci-layout", F_OK, 0) != 0) {
    return Invalid("'" + directory + "' is not empty, and no image layout", ENOTEMPTY);
  }
  return std::make_unique<DirectoryTarget>(std::move(dir));
}

}  // namespace veneer
