#include "tools/build/output/chain_walk.h"

#include <sys/stat.h>

#include <algorithm>
#include <unordered_map>
#include <utility>

namespace veneer::build {
namespace {

using tree::Ino;

// With a stack of its own: the depth of a tree is the archive's to choose.
class ChainWalk {
 public:
  ChainWalk(const tree::MergedTree& tree, std::optional<int64_t> latest_mtime,
            const std::function<Result<>(const ChainEntry&)>& visit)
      : tree_(tree), latest_mtime_(latest_mtime), visit_(visit) {}

  Result<> Run() {
    TRY(Enter(tree::kRootIno));
    while (!levels_.empty()) {
      Level& level = levels_.back();
      path_.resize(level.path_size);
      if (level.at == level.entries.size()) {
        levels_.pop_back();
        continue;
      }
      const auto [name, ino] = std::move(level.entries[level.at++]);
      if (!path_.empty()) path_ += '/';
      path_ += name;
      TRY(Entry(ino, level.dir));
    }
    return {};
  }

 private:
  struct Level {
    Ino dir = tree::kNoIno;
    size_t path_size = 0;
    std::vector<std::pair<std::string, Ino>> entries = {};
    size_t at = 0;
  };

  Result<> Enter(Ino dir) {
    Level level{.dir = dir, .path_size = path_.size()};
    TRY(tree_.ForEach(dir, "", [&](const tree::DirEntry& entry) {
      level.entries.emplace_back(entry.name, entry.ino);
      return true;
    }));
    levels_.push_back(std::move(level));
    return {};
  }

  Result<> Entry(Ino ino, Ino parent) {
    TRY_ASSIGN(const tree::Inode inode, tree_.Get(ino));
    const bool is_directory = S_ISDIR(inode.attr.mode);
    // So that the walk ends, whatever the file says.
    if (is_directory && inode.parent != parent)
      return Invalid("the tree is damaged at '/" + path_ + "'", EBADMSG);
    ChainEntry entry;
    entry.path = path_;
    entry.attr = inode.attr;
    entry.object = inode.object;
    if (latest_mtime_ && std::pair(inode.attr.mtime_sec, inode.attr.mtime_nsec) >
                             std::pair(*latest_mtime_, uint32_t{0})) {
      entry.attr.mtime_sec = *latest_mtime_;
      entry.attr.mtime_nsec = 0;
    }
    if (!is_directory && inode.nlink > 1) {
      const auto [first, is_new] = first_names_.try_emplace(ino, path_);
      if (!is_new) entry.first_name = first->second;
    }
    TRY_ASSIGN(entry.xattrs, tree_.Xattrs(ino));
    std::ranges::sort(entry.xattrs, {}, &tree::Xattr::name);
    if (S_ISLNK(inode.attr.mode)) {
      TRY_ASSIGN(entry.link_target, tree_.LinkTarget(ino));
    }
    TRY(visit_(entry));
    return is_directory ? Enter(ino) : Result<>();
  }

  const tree::MergedTree& tree_;
  const std::optional<int64_t> latest_mtime_;
  const std::function<Result<>(const ChainEntry&)>& visit_;
  std::string path_;
  std::vector<Level> levels_;
  std::unordered_map<Ino, std::string> first_names_;  // of files with several
};

}  // namespace

Result<> WalkChain(const tree::MergedTree& tree, std::optional<int64_t> latest_mtime,
                   const std::function<Result<>(const ChainEntry&)>& visit) {
  return ChainWalk(tree, latest_mtime, visit).Run();
}

}  // namespace veneer::build
