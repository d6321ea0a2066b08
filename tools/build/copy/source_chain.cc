// SourceTree of a chain: the content of its files is known by its digest, and not read.
#include <fcntl.h>

#include <utility>

#include "store/base/beneath.h"
#include "store/object_store.h"
#include "tools/build/copy/source_tree.h"

namespace veneer::build {
namespace {

class ChainSource : public SourceTree {
 public:
  ChainSource(const Store& store, std::shared_ptr<const tree::MergedTree> chain)
      : objects_(store.root_fd()), chain_(std::move(chain)) {}

  Result<SourceEntry> Stat(const std::string& path) const override {
    TRY_ASSIGN(const tree::Ino ino, Find(path));
    TRY_ASSIGN(const tree::Inode inode, chain_->Get(ino));
    SourceEntry entry;
    entry.path = path;
    entry.attr = inode.attr;
    entry.inode = ino;
    entry.links = inode.nlink;
    TRY_ASSIGN(entry.xattrs, chain_->Xattrs(ino));
    if (S_ISLNK(inode.attr.mode)) {
      TRY_ASSIGN(entry.link_target, chain_->LinkTarget(ino));
    }
    if (S_ISREG(inode.attr.mode)) entry.object = inode.object;
    return entry;
  }

  Result<std::vector<std::string>> List(const std::string& path) const override {
    TRY_ASSIGN(const tree::Ino ino, Find(path));
    std::vector<std::string> names;
    TRY(chain_->ForEach(ino, "", [&names](const tree::DirEntry& entry) {
      names.emplace_back(entry.name);
      return true;
    }));
    return names;
  }

  Result<UniqueFd> Open(const std::string& path) const override {
    TRY_ASSIGN(const tree::Ino ino, Find(path));
    TRY_ASSIGN(const tree::Inode inode, chain_->Get(ino));
    if (!S_ISREG(inode.attr.mode)) return Invalid("/" + path + " is not a regular file");
    if (inode.attr.size == 0) return OpenAt(AT_FDCWD, "/dev/null", O_RDONLY);  // has no object
    return objects_.Open(inode.object);
  }

 private:
  Result<tree::Ino> Find(const std::string& path) const {
    auto found = chain_->LookupPath(path);
    if (!found && found.error().code() != ENOTDIR) return std::unexpected(found.error());
    if (!found || !*found) return Fail(ENOENT, "open /" + path);
    return **found;
  }

  const ObjectStore objects_;
  const std::shared_ptr<const tree::MergedTree> chain_;
};

}  // namespace

std::unique_ptr<SourceTree> OpenChainSource(const Store& store,
                                            std::shared_ptr<const tree::MergedTree> chain) {
  return std::make_unique<ChainSource>(store, std::move(chain));
}

}  // namespace veneer::build
