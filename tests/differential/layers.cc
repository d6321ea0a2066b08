// Taking a tree apart into layers.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <map>

#include "store/base/unique_fd.h"
#include "tests/differential/random.h"
#include "tests/differential/sample_tree.h"
#include "tests/differential/tree_copy.h"

namespace veneer::differential {

namespace {

constexpr size_t kLayers = 3;  // 0 is the top

class Splitter {
 public:
  Splitter(std::string merged, std::vector<std::string> layers, LayerForm form, uint64_t seed)
      : merged_(std::move(merged)), layers_(std::move(layers)), form_(form), random_(seed) {}

  Result<> Run() {
    for (const std::string& layer : layers_) TRY(CopyOne(merged_, layer));
    TRY(Below("", kSpread));
    for (const std::string& layer : layers_) TRY(CopyTimes(merged_, layer));
    return {};
  }

 private:
  // Where a directory's entries are: kSpread, over all layers; else all in that one.
  static constexpr size_t kSpread = kLayers;

  // The path of a merged entry in a layer: differs below a renamed directory in the lowest one.
  std::string In(size_t layer, const std::string& relative) const {
    std::string path = relative;
    if (layer == kLayers - 1) {
      for (const auto& [now, before] : moved_) {
        if (path == now || path.starts_with(now + "/")) path.replace(0, now.size(), before);
      }
    }
    return layers_[layer] + "/" + path;
  }

  Result<> Mark(const std::string& path, const char* name, const std::string& value) {
    if (setxattr(path.c_str(), name, value.data(), value.size(), 0) != 0) return Errno(path);
    return {};
  }
  Result<> Empty(const std::string& path, const std::string& content = "") {
    UniqueFd fd(open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
    if (!fd || write(fd.get(), content.data(), content.size()) < 0) return Errno(path);
    return {};
  }
  Result<> Whiteout(const std::string& dir, const std::string& name) {
    if (form_ == LayerForm::kAufs) return Empty(dir + "/.wh." + name);
    if (mknod((dir + "/" + name).c_str(), S_IFCHR, 0) != 0) return Errno(dir + "/" + name);
    return {};
  }

  // Names that a lower layer has and the one above deletes, or puts something else over.
  Result<> Decoys(const std::string& relative) {
    for (size_t layer = 1; layer < kLayers; ++layer) {
      std::string name = fmt::format("gone{}", layer);
      std::string lower = In(layer, relative) + "/" + name;
      if (random_.Chance(50)) {
        if (mkdir(lower.c_str(), 0755) != 0) return Errno(lower);
        TRY(Empty(lower + "/inside", "deleted"));
      } else {
        TRY(Empty(lower, "deleted"));
      }
      TRY(Whiteout(In(layer - 1, relative), name));
    }
    return {};
  }

  bool HasLinks(const std::string& relative) {
    auto names = NamesIn(merged_ + "/" + relative);
    if (!names) return true;
    for (const std::string& name : *names) {
      std::string below = relative + "/" + name;
      struct stat st = {};
      if (lstat((merged_ + "/" + below).c_str(), &st) != 0) return true;
      if (S_ISDIR(st.st_mode) ? HasLinks(below) : st.st_nlink > 1) return true;
    }
    return false;
  }

  Result<> Opaque(const std::string& relative) {
    std::string lower = In(1, relative);
    if (mkdir(lower.c_str(), 0700) != 0) return Errno(lower);
    TRY(Empty(lower + "/hidden", "hidden"));
    TRY(CopyOne(merged_ + "/" + relative, In(0, relative)));
    if (form_ == LayerForm::kAufs) {
      TRY(Empty(In(0, relative) + "/.wh..wh..opq"));
    } else {
      TRY(Mark(In(0, relative), "trusted.overlay.opaque", "y"));
    }
    return Below(relative, 0);
  }

  // The lowest layer has it under another name, the top says so.
  Result<> Redirected(const std::string& relative) {
    std::string before = fmt::format("was{}", moved_.size());
    TRY(CopyOne(merged_ + "/" + relative, layers_[kLayers - 1] + "/" + before));
    TRY(Whiteout(layers_[0], before));
    TRY(CopyOne(merged_ + "/" + relative, In(0, relative)));
    TRY(Mark(In(0, relative), "trusted.overlay.redirect", "/" + before));
    moved_.emplace(relative, before);
    return Below(relative, kLayers - 1);
  }

  Result<> Directory(const std::string& relative, size_t where) {
    if (where == kSpread && !HasLinks(relative)) {
      if (random_.Chance(15)) return Opaque(relative);
      if (form_ == LayerForm::kOverlay && random_.Chance(15)) return Redirected(relative);
    }
    for (size_t layer = 0; layer < kLayers; ++layer) {
      if (where != kSpread && where != layer) continue;
      TRY(CopyOne(merged_ + "/" + relative, In(layer, relative)));
      if (layer > 0 && where == kSpread && chmod(In(layer, relative).c_str(), 0700) != 0) {
        return Errno(relative);
      }
    }
    if (where == kSpread && random_.Chance(60)) TRY(Decoys(relative));
    return Below(relative, where);
  }

  Result<> File(const std::string& relative, const struct stat& st, size_t where) {
    size_t layer = where == kSpread ? random_.Below(kLayers) : where;
    if (st.st_nlink > 1) {  // all names of a file in one layer
      auto [it, fresh] = linked_.emplace(st.st_ino, std::pair(st.st_ino % kLayers, relative));
      layer = it->second.first;
      if (!fresh) {
        std::string from = In(layer, it->second.second);
        if (link(from.c_str(), In(layer, relative).c_str()) != 0) return Errno(relative);
        return {};
      }
    }
    TRY(CopyOne(merged_ + "/" + relative, In(layer, relative)));
    if (where == kSpread && layer + 1 < kLayers && random_.Chance(30)) {
      TRY(Empty(In(layer + 1, relative), "an older version"));
    }
    return CopyTimes(merged_ + "/" + relative, In(layer, relative));
  }

  Result<> Below(const std::string& relative, size_t where) {
    std::string dir = relative.empty() ? merged_ : merged_ + "/" + relative;
    TRY_ASSIGN(auto names, NamesIn(dir));
    for (const std::string& name : names) {
      std::string below = relative.empty() ? name : relative + "/" + name;
      struct stat st = {};
      if (lstat((merged_ + "/" + below).c_str(), &st) != 0) return Errno(below);
      TRY(S_ISDIR(st.st_mode) ? Directory(below, where) : File(below, st, where));
    }
    for (size_t layer = 0; layer < kLayers; ++layer) {
      std::string copy = In(layer, relative);
      if (access(copy.c_str(), F_OK) == 0) TRY(CopyTimes(dir, copy));
    }
    return {};
  }

  const std::string merged_;
  const std::vector<std::string> layers_;
  const LayerForm form_;
  Random random_;
  std::map<std::string, std::string> moved_;
  std::map<ino_t, std::pair<size_t, std::string>> linked_;
};

}  // namespace

Result<std::vector<std::string>> SplitIntoLayers(const std::string& merged, const std::string& base,
                                                 LayerForm form, uint64_t seed) {
  std::vector<std::string> layers;
  for (size_t i = 0; i < kLayers; ++i) {
    layers.push_back(fmt::format("{}/layer{}", base, i));
    if (mkdir(layers.back().c_str(), 0755) != 0) return Errno(layers.back());
  }
  TRY(Splitter(merged, layers, form, seed).Run());
  return layers;
}

}  // namespace veneer::differential
