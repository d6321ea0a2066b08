// Random layers, merged by the code and by a model that keeps sets of paths: the dumps must be
// equal, whether the tree is built at once or layer by layer.
#include <dirent.h>
#include <gmock/gmock.h>

#include <algorithm>
#include <map>
#include <optional>
#include <random>
#include <set>

#include "store/tree/dump.h"
#include "tests/store/tree/tree_test_util.h"

namespace veneer::tree {
namespace {

using Path = std::vector<std::string>;

std::string Join(const Path& path) {
  std::string out;
  for (const std::string& name : path) out += (out.empty() ? "" : "/") + name;
  return out;
}

bool IsBelow(const Path& path, const Path& top) {
  return path.size() > top.size() && std::equal(top.begin(), top.end(), path.begin());
}

struct ModelInode {
  Attributes attr;
  ObjectId object;
  std::string target;
  std::vector<Xattr> xattrs;
  bool IsDir() const { return S_ISDIR(attr.mode); }
};

// One layer as a map of its names.
struct LayerModel {
  struct Entry {
    bool whiteout = false;
    bool opaque = false;
    int inode = -1;  // index into inodes; -1: a placeholder, or only a whiteout
    bool is_dir = false;
    std::optional<std::string> external;  // of the inode: a path below
    bool exists() const { return is_dir || inode >= 0; }
  };
  std::map<Path, Entry> names = {{Path{}, Entry{.is_dir = true}}};
  std::vector<ModelInode> inodes;
};

// A chain as a map of its names.
struct ChainModel {
  std::map<Path, Ino> names;
  std::map<Ino, ModelInode> inodes;
  Ino offset = 0;

  void Erase(const Path& path, bool self) {
    std::erase_if(names, [&](const auto& n) { return IsBelow(n.first, path); });
    if (self) names.erase(path);
  }

  void Apply(const LayerModel& layer) {
    ChainModel below = *this;
    const ModelInode default_dir{.attr = {.mode = S_IFDIR | 0755}};
    std::map<int, Ino> numbers;
    Ino next = offset;
    if (names.empty()) {
      names[{}] = kRootIno;
      inodes[kRootIno] = default_dir;
    }
    for (const auto& [path, entry] : layer.names) {
      if (!entry.exists()) {
        Erase(path, true);
        continue;
      }
      Ino ino = 0;
      if (entry.inode >= 0 && numbers.contains(entry.inode)) {
        ino = numbers[entry.inode];
      } else {
        ino = ++next;
        if (entry.inode >= 0) numbers[entry.inode] = ino;
      }
      if (entry.is_dir) {
        auto old = names.find(path);
        bool old_dir = old != names.end() && inodes[old->second].IsDir();
        bool opaque = entry.opaque || entry.whiteout;
        ModelInode inode = default_dir;
        if (entry.inode >= 0) {
          inode = layer.inodes[entry.inode];
        } else if (old_dir && !entry.whiteout) {
          inode = inodes[old->second];
        }
        if (path.empty() || (old_dir && !opaque)) ino = old->second;
        if (opaque || !old_dir) Erase(path, false);
        names[path] = ino;
        inodes[ino] = inode;
      } else if (entry.external) {
        Erase(path, true);
        Path target;
        std::string_view rest = *entry.external;
        while (!rest.empty()) {
          std::string_view name = rest.substr(0, rest.find('/'));
          target.emplace_back(name);
          rest.remove_prefix(std::min(rest.size(), name.size() + 1));
        }
        names[path] = below.names.at(target);
      } else {
        Erase(path, true);
        names[path] = ino;
        inodes[ino] = layer.inodes[entry.inode];
      }
    }
    offset = next;
  }

  std::string DumpText() const {
    std::map<Ino, int> links;
    std::map<Path, int> subdirs;
    for (const auto& [path, ino] : names) {
      ++links[ino];
      if (inodes.at(ino).IsDir() && !path.empty()) ++subdirs[Path(path.begin(), path.end() - 1)];
    }
    std::string out;
    for (const auto& [path, ino] : names) {
      const ModelInode& i = inodes.at(ino);
      int nlink = links[ino];
      if (i.IsDir()) {
        auto sub = subdirs.find(path);
        nlink = 2 + (sub == subdirs.end() ? 0 : sub->second);
      }
      char line[512];
      std::snprintf(line, sizeof line, "/%s %06o %u:%u %lu %ld.%09u %lu %d 0:0 %s",
                    Join(path).c_str(), i.attr.mode, i.attr.uid, i.attr.gid, i.attr.size,
                    i.attr.mtime_sec, i.attr.mtime_nsec, ino, nlink,
                    i.object.digest.IsZero() ? "-" : i.object.ToString().c_str());
      out += line;
      if (!i.target.empty()) out += " -> " + i.target;
      for (const Xattr& x : i.xattrs) {
        out += " " + x.name + "=";
        for (unsigned char c : x.value) {
          std::snprintf(line, sizeof line, "%02x", c);
          out += line;
        }
      }
      out += "\n";
    }
    return out;
  }
};

class LayerMaker {
 public:
  LayerMaker(std::mt19937& random, const ChainModel& below, LayerTreeBuilder& builder)
      : random_(random), below_(below), builder_(builder) {}

  LayerModel Make(int steps) {
    while (steps-- > 0) Step();
    return std::move(layer_);
  }

 private:
  int Random(int n) { return static_cast<int>(random_() % n); }

  Path RandomPath() {
    Path path;
    for (int depth = 1 + Random(4); depth > 0; --depth) {
      path.push_back(std::string(1, static_cast<char>('a' + Random(4))));
    }
    return path;
  }

  // Whether this layer makes something other than a directory of a parent of `path`.
  bool LeafAbove(const Path& path) const {
    for (size_t n = 1; n < path.size(); ++n) {
      auto it = layer_.names.find(Path(path.begin(), path.begin() + n));
      if (it != layer_.names.end() && it->second.exists() && !it->second.is_dir) return true;
    }
    return false;
  }

  LayerModel::Entry& Place(const Path& path) {
    for (size_t n = 1; n < path.size(); ++n) {
      layer_.names[Path(path.begin(), path.begin() + n)].is_dir = true;
    }
    return layer_.names[path];
  }

  void SetLeaf(const Path& path, int inode, std::optional<std::string> external) {
    LayerModel::Entry& entry = Place(path);
    std::erase_if(layer_.names, [&](const auto& n) { return IsBelow(n.first, path); });
    entry.is_dir = false;
    entry.opaque = false;
    entry.inode = inode;
    entry.external = std::move(external);
  }

  ModelInode RandomInode(uint32_t type) {
    ModelInode i;
    i.attr.mode = type | Random(01000);
    i.attr.uid = Random(3) * 1000;
    i.attr.mtime_sec = Random(1000) - 500;
    i.attr.mtime_nsec = Random(1000000000);
    if (Random(4) == 0)
      i.xattrs.push_back({"user.x", std::string(1, static_cast<char>(Random(256)))});
    return i;
  }

  void Step() {
    Path path = RandomPath();
    if (LeafAbove(path)) return;
    std::string name = Join(path);
    switch (Random(8)) {
      case 0:
        Must(builder_.AddWhiteout(name));
        Place(path).whiteout = true;
        break;
      case 1: {
        if (Random(40) == 0) path = {};
        auto it = layer_.names.find(path);
        if (it != layer_.names.end() && it->second.exists() && !it->second.is_dir) return;
        Must(builder_.SetOpaque(Join(path)));
        LayerModel::Entry& entry = Place(path);
        entry.is_dir = entry.opaque = true;
        break;
      }
      case 2:
      case 3: {
        ModelInode i = RandomInode(S_IFDIR);
        Must(builder_.Add(name, i.attr, {}, "", i.xattrs));
        layer_.inodes.push_back(i);
        LayerModel::Entry& entry = Place(path);
        entry.is_dir = true;
        entry.inode = static_cast<int>(layer_.inodes.size()) - 1;
        entry.external.reset();
        break;
      }
      case 4: {
        ModelInode i = RandomInode(S_IFLNK);
        i.target = "nowhere";
        i.attr.size = i.target.size();
        Must(builder_.Add(name, i.attr, {}, i.target, i.xattrs));
        layer_.inodes.push_back(i);
        SetLeaf(path, static_cast<int>(layer_.inodes.size()) - 1, std::nullopt);
        break;
      }
      case 5:
        AddLink(path);
        break;
      default: {
        ModelInode i = RandomInode(S_IFREG);
        i.attr.size = Random(3);
        if (i.attr.size > 0) i.object = Object(std::to_string(Random(100)));
        Must(builder_.Add(name, i.attr, i.object, "", i.xattrs));
        layer_.inodes.push_back(i);
        SetLeaf(path, static_cast<int>(layer_.inodes.size()) - 1, std::nullopt);
      }
    }
  }

  void AddLink(const Path& path) {
    std::vector<Path> targets;
    for (const auto& [p, ino] : below_.names) {
      if (!below_.inodes.at(ino).IsDir()) targets.push_back(p);
    }
    for (const auto& [p, entry] : layer_.names) {
      if (entry.exists() && !entry.is_dir) targets.push_back(p);
    }
    if (targets.empty()) return;
    const Path target = targets[Random(static_cast<int>(targets.size()))];
    if (LeafAbove(target)) return;
    auto here = layer_.names.find(target);
    if (here != layer_.names.end() && here->second.is_dir) return;
    // Making `path` must not make a directory of the target, which would be another story.
    if (IsBelow(path, target)) return;
    Must(builder_.AddHardLink(Join(path), Join(target)));
    if (here != layer_.names.end() && here->second.exists()) {
      int inode = here->second.inode;
      std::optional<std::string> external = here->second.external;
      if (path != target) SetLeaf(path, inode, external);
      return;
    }
    layer_.inodes.push_back({});
    SetLeaf(path, static_cast<int>(layer_.inodes.size()) - 1, Join(target));
  }

  std::mt19937& random_;
  const ChainModel& below_;
  LayerTreeBuilder& builder_;
  LayerModel layer_;
};

class MergeProperty : public TreeTest, public testing::WithParamInterface<int> {
 protected:
  void CheckReads(const MergedTree& tree, const ChainModel& model) {
    std::map<Ino, std::set<std::pair<Ino, std::string>>> names;
    for (const auto& [path, ino] : model.names) {
      EXPECT_EQ(Must(tree.LookupPath(Join(path))), ino);
      if (path.empty()) continue;
      Ino parent = model.names.at(Path(path.begin(), path.end() - 1));
      auto entry = Must(tree.Lookup(parent, path.back()));
      ASSERT_TRUE(entry);
      EXPECT_EQ(entry->type, model.inodes.at(ino).attr.mode >> 12);
      names[ino].emplace(parent, path.back());
    }
    for (const auto& [ino, want] : names) {
      std::set<std::pair<Ino, std::string>> got;
      for (const NameOf& n : Must(tree.Names(ino))) got.emplace(n.parent, n.name);
      EXPECT_EQ(got, want) << ino;
      EXPECT_EQ(Must(tree.Get(ino)).parent, want.begin()->first);
    }
  }
};

TEST_P(MergeProperty, ModelBaseAndDeltasAgree) {
  std::mt19937 random(GetParam());
  // With many files below, changes stay deltas; with none, most fold.
  int fill = GetParam() % 3 == 0 ? 0 : 400 * (GetParam() % 3);
  Layers layers;
  ChainModel model;
  std::unique_ptr<MergedTree> next = MergedTree::Empty();
  int deltas = 0;
  for (size_t n = 1; n <= 12; ++n) {
    LayerModel layer_model;
    layers.push_back(Layer([&](LayerTreeBuilder& b) {
      layer_model = LayerMaker(random, model, b).Make(1 + random() % 40);
      for (int i = 0; n == 1 && i < fill; ++i) {
        ModelInode inode{.attr = File(1), .object = Object("fill")};
        std::string name = "f" + std::to_string(i);
        Must(b.Add("~/" + name, inode.attr, inode.object, "", {}));
        layer_model.inodes.push_back(inode);
        layer_model.names[{"~"}].is_dir = true;
        layer_model.names[{"~", name}].inode = static_cast<int>(layer_model.inodes.size()) - 1;
      }
    }));
    model.Apply(layer_model);
    next = Next(*next, layers, n);
    ASSERT_NE(next, nullptr);
    deltas += next->delta_count() > 0;
    std::string want = model.DumpText();
    ASSERT_EQ(DumpText(*next), want) << "seed " << GetParam() << " layer " << n;
    ASSERT_EQ(DumpText(*Base(layers)), want) << "seed " << GetParam() << " layer " << n;
    EXPECT_EQ(next->name_count(), model.names.size() - 1);
    EXPECT_EQ(next->ino_limit(), model.offset + 1);
    CheckReads(*next, model);
  }
  EXPECT_TRUE(fill < 800 || deltas > 0);
}

INSTANTIATE_TEST_SUITE_P(Seeds, MergeProperty, testing::Range(0, 60));

}  // namespace
}  // namespace veneer::tree
