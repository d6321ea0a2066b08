// CollectEntries: what is in a source.
#include <algorithm>
#include <map>
#include <utility>

#include "tools/build/copy/copied_source.h"
#include "tools/build/language/text.h"

namespace veneer::build {
namespace {

constexpr size_t kMaxDepth = 1024;  // no path of a mounted filesystem gets there

class SourceWalk {
 public:
  SourceWalk(const SourceTree& tree, const CopyFilter& filter) : tree_(tree), filter_(filter) {}

  Result<std::vector<CopiedEntry>> Run(const std::string& path) {
    TRY_ASSIGN(SourceEntry root, tree_.Stat(path));
    const bool is_directory = S_ISDIR(root.attr.mode);
    Keep(std::move(root), 0, false);
    if (is_directory) TRY(Directory(path, "", 1));
    return std::move(entries_);
  }

 private:
  Result<> Directory(const std::string& path, const std::string& relative, size_t depth) {
    if (depth > kMaxDepth) {
      return Invalid("'/" + path.substr(0, 80) + "…' is nested deeper than " +
                         std::to_string(kMaxDepth) + " directories",
                     ENAMETOOLONG);
    }
    TRY_ASSIGN(const std::vector<std::string> names, tree_.List(path));
    for (const std::string& name : names) {
      const std::string below = relative.empty() ? name : relative + "/" + name;
      const bool excluded = filter_.exclude && filter_.exclude->Ignores(below);
      if (excluded && !filter_.exclude->MayKeepBelow(below)) continue;
      if (!MayInclude(name, depth)) continue;
      const bool included = !excluded && (!filter_.include || filter_.include->Ignores(below));
      const std::string child = path.empty() ? name : path + "/" + name;
      auto entry = tree_.Stat(child);
      if (!entry) {
        if (entry.error().code() == ENOENT) return ChangedMeanwhile(child);
        return std::unexpected(entry.error());
      }
      const bool is_directory = S_ISDIR(entry->attr.mode);
      if (!included && !is_directory) continue;
      Keep(std::move(*entry), depth, !included);
      if (!is_directory) continue;
      const size_t before = entries_.size();
      TRY(Directory(child, below, depth + 1));
      if (!included && entries_.size() == before) entries_.pop_back();
    }
    return {};
  }

  bool MayInclude(const std::string& name, size_t depth) const {
    return depth > filter_.include_below.size() || filter_.include_below[depth - 1] == name;
  }

  void Keep(SourceEntry&& from, size_t depth, bool implied) {
    CopiedEntry& entry = entries_.emplace_back();
    entry.path = std::move(from.path);
    entry.depth = static_cast<uint32_t>(depth);
    entry.implied = implied;
    entry.attr = from.attr;
    entry.xattrs = std::move(from.xattrs);
    entry.link_target = std::move(from.link_target);
    if (!S_ISREG(from.attr.mode)) return;
    entry.content = from.object;
    entry.in_store = !from.object.digest.IsZero();
    if (from.links < 2) return;
    const auto [first, is_new] = names_.try_emplace({from.device, from.inode}, entries_.size() - 1);
    if (!is_new) entry.first_name = first->second;
  }

  const SourceTree& tree_;
  const CopyFilter& filter_;
  std::vector<CopiedEntry> entries_;
  std::map<std::pair<uint64_t, uint64_t>, size_t> names_;  // of files with several: the first
};

}  // namespace

Result<std::vector<CopiedEntry>> CollectEntries(const SourceTree& tree, const std::string& path,
                                                const CopyFilter& filter) {
  return SourceWalk(tree, filter).Run(path);
}

}  // namespace veneer::build
