#include "tools/build/squash.h"

#include <dirent.h>
#include <sys/stat.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <tuple>
#include <utility>

#include "store/image_config.h"
#include "store/ingest.h"
#include "store/layer_writer.h"
#include "store/tree/merged_tree.h"

namespace veneer::build {
namespace {

using tree::Ino;
using tree::MergedTree;

bool SameAttributes(const tree::Inode& a, const tree::Inode& b) {
  const auto facts = [](const tree::Inode& i) {
    return std::tuple(i.attr.mode, i.attr.uid, i.attr.gid, S_ISREG(i.attr.mode) ? i.attr.size : 0,
                      i.attr.mtime_sec, i.attr.mtime_nsec, i.attr.rdev_major, i.attr.rdev_minor,
                      i.object);
  };
  return facts(a) == facts(b);
}

// What makes one chain of another, in the order of a layer.
class Difference {
 public:
  Difference(const MergedTree& from, const MergedTree& to) : from_(from), to_(to) {}

  Result<std::vector<UpperChange>> Find() {
    TRY(Visit("", tree::kRootIno, tree::kRootIno));
    return std::move(changes_);
  }

 private:
  using Names = std::map<std::string, Ino>;

  static Result<Names> NamesOf(const MergedTree& tree, Ino dir) {
    Names names;
    if (dir == tree::kNoIno) return names;
    TRY(tree.ForEach(dir, "", [&](const tree::DirEntry& entry) {
      names.emplace(entry.name, entry.ino);
      return true;
    }));
    return names;
  }

  static Result<std::string> PathOf(const MergedTree& tree, const tree::NameOf& name) {
    std::string path = name.name;
    for (Ino dir = name.parent; dir != tree::kRootIno;) {
      TRY_ASSIGN(const auto names, tree.Names(dir));
      if (names.empty()) return Fail(EBADMSG, "a directory without a name");
      path = names.front().name + "/" + path;
      dir = names.front().parent;
    }
    return path;
  }

  static Result<std::vector<std::string>> PathsOf(const MergedTree& tree, Ino ino) {
    TRY_ASSIGN(const auto names, tree.Names(ino));
    std::vector<std::string> paths;
    for (const tree::NameOf& name : names) {
      TRY_ASSIGN(std::string path, PathOf(tree, name));
      paths.push_back(std::move(path));
    }
    std::ranges::sort(paths);
    return paths;
  }

  // Whether the inode `old` of from_ is what `now` of to_ is, its names included.
  Result<bool> Same(const tree::Inode& old, const tree::Inode& now) {
    if (!SameAttributes(old, now)) return false;
    TRY_ASSIGN(const auto old_xattrs, from_.Xattrs(old.ino));
    TRY_ASSIGN(const auto xattrs, to_.Xattrs(now.ino));
    const auto same = [](const tree::Xattr& a, const tree::Xattr& b) {
      return a.name == b.name && a.value == b.value;
    };
    if (!std::ranges::equal(old_xattrs, xattrs, same)) return false;
    if (S_ISLNK(now.attr.mode)) {
      TRY_ASSIGN(const std::string old_target, from_.LinkTarget(old.ino));
      TRY_ASSIGN(const std::string target, to_.LinkTarget(now.ino));
      if (old_target != target) return false;
    }
    if (S_ISDIR(now.attr.mode) || (old.nlink == 1 && now.nlink == 1)) return true;
    TRY_ASSIGN(const auto old_paths, PathsOf(from_, old.ino));
    TRY_ASSIGN(const auto paths, PathsOf(to_, now.ino));
    return old_paths == paths;
  }

  // `old`: the inode of from_ with this path, or none.
  Result<> Visit(const std::string& path, Ino old, Ino now) {
    TRY_ASSIGN(const tree::Inode inode, to_.Get(now));
    bool same = false, old_is_directory = false;
    if (old != tree::kNoIno) {
      TRY_ASSIGN(const tree::Inode before, from_.Get(old));
      old_is_directory = S_ISDIR(before.attr.mode);
      TRY_ASSIGN(same, Same(before, inode));
    }
    const bool is_directory = S_ISDIR(inode.attr.mode);
    if (same && !is_directory) return {};
    const size_t position = changes_.size();
    TRY(Add(path, inode, old != tree::kNoIno));
    if (!is_directory) return {};
    TRY_ASSIGN(const Names before, NamesOf(from_, old_is_directory ? old : tree::kNoIno));
    TRY_ASSIGN(const Names names, NamesOf(to_, now));
    TRY(VisitNames(path, before, names));
    // A directory that is as it was is told of only for what is in it.
    if (same && changes_.size() == position + 1) changes_.pop_back();
    return {};
  }

  Result<> VisitNames(const std::string& path, const Names& before, const Names& names) {
    const std::string prefix = path.empty() ? "" : path + "/";
    auto gone = before.begin();
    const auto remove_until = [&](const std::string* name) {
      for (; gone != before.end() && (name == nullptr || gone->first < *name); ++gone) {
        if (names.contains(gone->first)) continue;
        UpperChange change;
        change.path = prefix + gone->first;
        change.kind = ChangeKind::kDeleted;
        changes_.push_back(std::move(change));
      }
    };
    for (const auto& [name, ino] : names) {
      remove_until(&name);
      const auto old = before.find(name);
      TRY(Visit(prefix + name, old == before.end() ? tree::kNoIno : old->second, ino));
    }
    remove_until(nullptr);
    return {};
  }

  Result<> Add(const std::string& path, const tree::Inode& inode, bool was_there) {
    UpperChange change;
    change.path = path;
    change.kind = was_there ? ChangeKind::kModified : ChangeKind::kAdded;
    change.attr = inode.attr;
    if (!S_ISDIR(inode.attr.mode) && inode.nlink > 1) {
      const auto [first, is_new] = first_names_.emplace(inode.ino, path);
      if (!is_new) change.hard_link = first->second;
    }
    TRY_ASSIGN(change.xattrs, to_.Xattrs(inode.ino));
    if (S_ISLNK(inode.attr.mode)) {
      TRY_ASSIGN(change.link_target, to_.LinkTarget(inode.ino));
    }
    change.object = inode.object;
    changes_.push_back(std::move(change));
    return {};
  }

  const MergedTree& from_;
  const MergedTree& to_;
  std::vector<UpperChange> changes_;
  std::map<Ino, std::string> first_names_;
};

}  // namespace

Result<std::vector<DiffId>> Squash(Store& store, std::span<const DiffId> layers, size_t base_layers,
                                   std::optional<int64_t> latest_mtime) {
  std::vector<DiffId> out(layers.begin(), layers.end());
  if (layers.size() < base_layers + 2) return out;
  TRY_ASSIGN(const auto from, store.chains().Open(layers.first(base_layers)));
  TRY_ASSIGN(const auto to, store.chains().Open(layers));
  TRY_ASSIGN(std::vector<UpperChange> changes, Difference(*from, *to).Find());
  TRY_ASSIGN(auto session, IngestSession::Begin(store));
  TRY_ASSIGN(auto writer, LayerWriter::Create(*session, {.latest_mtime = latest_mtime}));
  for (const UpperChange& change : changes) TRY(writer->Add(change, {}));
  TRY_ASSIGN(const StagedLayer layer, writer->Finish());
  TRY(session->Publish({&layer, 1}, []() -> Result<> { return {}; }));
  out.resize(base_layers);
  out.push_back(layer.row.diff_id);
  return out;
}

Result<std::string> SquashedConfig(const std::string& config, std::span<const DiffId> layers,
                                   size_t base_layers) {
  TRY_ASSIGN(ImageConfig parsed, ImageConfig::Parse(config));
  if (parsed.diff_ids.size() <= layers.size()) return config;
  size_t layer = 0;
  for (auto& entry : parsed.json["history"]) {
    if (entry.value("empty_layer", false)) continue;
    ++layer;
    if (layer > base_layers && layer < parsed.diff_ids.size()) entry["empty_layer"] = true;
  }
  auto ids = nlohmann::ordered_json::array();
  for (const DiffId& id : layers) ids.push_back(id.ToString());
  parsed.json["rootfs"]["diff_ids"] = std::move(ids);
  return parsed.json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace veneer::build
