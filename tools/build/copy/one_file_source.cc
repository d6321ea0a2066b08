#include "tools/build/copy/one_file_source.h"

#include <fcntl.h>
#include <sys/mman.h>

#include <utility>

#include "store/base/beneath.h"

namespace veneer::build {
namespace {

class OneFileSource : public SourceTree {
 public:
  OneFileSource(std::string name, UniqueFd file, tree::Attributes attr)
      : name_(std::move(name)), file_(std::move(file)), attr_(attr) {}

  Result<SourceEntry> Stat(const std::string& path) const override {
    SourceEntry entry;
    entry.path = path;
    if (path.empty()) {
      entry.attr.mode = S_IFDIR | 0755;
    } else if (path == name_) {
      entry.attr = attr_;
    } else {
      return Fail(ENOENT, "open /" + path);
    }
    return entry;
  }

  Result<std::vector<std::string>> List(const std::string& path) const override {
    if (!path.empty()) return Fail(ENOENT, "open /" + path);
    return std::vector<std::string>{name_};
  }

  // The very file, however its path has changed meanwhile, with a position of its own.
  Result<UniqueFd> Open(const std::string& path) const override {
    if (path != name_) return Fail(ENOENT, "open /" + path);
    return OpenAt(AT_FDCWD, FdPath(file_.get()), O_RDONLY);
  }

 private:
  const std::string name_;
  const UniqueFd file_;
  const tree::Attributes attr_;
};

Result<std::unique_ptr<SourceTree>> Make(const std::string& name, UniqueFd file,
                                         tree::Attributes attr) {
  if (name.empty() || name == "." || name == ".." || name.contains('/') || name.contains('\0'))
    return Invalid("open /" + name + ": not the name of a file");
  return std::make_unique<OneFileSource>(name, std::move(file), attr);
}

Result<tree::Attributes> AttributesOfFile(int fd, uint32_t permissions) {
  struct stat st;
  if (fstat(fd, &st) != 0) return Errno("fstat");
  if (!S_ISREG(st.st_mode)) return Invalid("not a regular file");
  tree::Attributes attr;
  attr.mode = S_IFREG | permissions;
  attr.size = static_cast<uint64_t>(st.st_size);
  return attr;
}

}  // namespace

Result<std::unique_ptr<SourceTree>> MakeContentSource(const std::string& name,
                                                      std::string_view content) {
  UniqueFd file(memfd_create("heredoc", MFD_CLOEXEC));
  if (!file) return Errno("memfd_create");
  TRY(WriteAll(file.get(), content));
  TRY_ASSIGN(tree::Attributes attr, AttributesOfFile(file.get(), 0644));
  return Make(name, std::move(file), attr);
}

Result<std::unique_ptr<SourceTree>> OpenFileSource(const std::string& name, const std::string& path,
                                                   std::optional<int64_t> mtime) {
  TRY_ASSIGN(UniqueFd file, OpenAt(AT_FDCWD, path, O_RDONLY | O_NONBLOCK));
  TRY_ASSIGN(tree::Attributes attr, AttributesOfFile(file.get(), 0600));
  attr.mtime_sec = mtime.value_or(0);
  return Make(name, std::move(file), attr);
}

}  // namespace veneer::build
