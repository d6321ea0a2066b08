#include "tools/export_tree.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <map>
#include <memory>
#include <utility>

#include "store/archive/canonical_tar.h"
#include "store/base/beneath.h"
#include "store/directory.h"
#include "store/file_facts.h"

namespace veneer::tools {
namespace {

constexpr size_t kPiece = 1 << 20;

class Exporter {
 public:
  explicit Exporter(CanonicalTarWriter& tar) : tar_(tar), piece_(new char[kPiece]) {}

  Result<> Directory(int fd, const std::string& path, dev_t device) {
    TRY_ASSIGN(auto names, ListDirectory(fd, "."));
    for (const std::string& name : names) {
      auto added = Entry(fd, name, path.empty() ? name : path + "/" + name, device);
      if (!added) return std::unexpected(added.error().Within("'/" + path + "'"));
    }
    return {};
  }

 private:
  Result<> Entry(int parent, const std::string& name, const std::string& path, dev_t device) {
    TRY_ASSIGN(struct stat st, StatAt(parent, name, AT_SYMLINK_NOFOLLOW));
    if (S_ISSOCK(st.st_mode)) return {};
    TarEntry entry;
    entry.path = path;
    entry.attr = AttributesOf(st);
    if (!S_ISDIR(st.st_mode) && st.st_nlink > 1) {
      auto [first, is_new] = links_.try_emplace(st.st_ino, path);
      if (!is_new) {
        entry.kind = TarEntry::Kind::kHardLink;
        entry.link_target = first->second;
        return tar_.WriteEntry(entry);
      }
    }
    TRY_ASSIGN(entry.xattrs, StoredXattrs(parent, name));
    std::sort(entry.xattrs.begin(), entry.xattrs.end(),
              [](const auto& a, const auto& b) { return a.name < b.name; });
    if (S_ISLNK(st.st_mode)) {
      TRY_ASSIGN(entry.link_target, ReadLinkAt(parent, name));
    }
    TRY(tar_.WriteEntry(entry));
    if (S_ISREG(st.st_mode)) return Content(parent, name, entry.attr.size);
    if (!S_ISDIR(st.st_mode) || st.st_dev != device) return {};
    TRY_ASSIGN(UniqueFd dir, OpenAt(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    return Directory(dir.get(), path, device);
  }

  Result<> Content(int parent, const std::string& name, uint64_t size) {
    TRY_ASSIGN(UniqueFd fd, OpenAt(parent, name, O_RDONLY | O_NOFOLLOW));
    for (uint64_t at = 0; at < size;) {
      size_t want = static_cast<size_t>(std::min<uint64_t>(kPiece, size - at));
      TRY_ASSIGN(size_t n, ReadUpTo(fd.get(), piece_.get(), want));
      std::fill(piece_.get() + n, piece_.get() + want, '\0');  // it got shorter meanwhile
      TRY(tar_.WriteContent({piece_.get(), want}));
      at += want;
    }
    return {};
  }

  CanonicalTarWriter& tar_;
  std::unique_ptr<char[]> piece_;
  std::map<ino_t, std::string> links_;  // first name of each file with several
};

}  // namespace

Result<> ExportTree(const std::string& path, ByteSink& out) {
  TRY_ASSIGN(auto tar, CanonicalTarWriter::Create(out, out));
  TRY_ASSIGN(UniqueFd root, OpenAt(AT_FDCWD, path, O_RDONLY | O_DIRECTORY));
  TRY_ASSIGN(struct stat st, StatAt(root.get(), ".", 0));
  TRY(Exporter(*tar).Directory(root.get(), "", st.st_dev));
  return tar->Finish();
}

}  // namespace veneer::tools
