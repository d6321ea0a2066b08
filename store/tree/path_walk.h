// Resolving a path inside a tree as link(2) in a root directory would: symlinks on the way are
// followed and cannot lead out of the root, the last component is not followed.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "store/base/result.h"

namespace veneer::tree {

inline constexpr int kMaxSymlinks = 40;

// Takes the first component off `rest`, skipping slashes and "."; empty at the end.
inline std::string_view NextComponent(std::string_view& rest) {
  while (true) {
    size_t start = rest.find_first_not_of('/');
    if (start == std::string_view::npos) return rest = {};
    rest.remove_prefix(start);
    std::string_view name = rest.substr(0, rest.find('/'));
    rest.remove_prefix(name.size());
    if (name != ".") return name;
  }
}

// What a name leads to: a directory, anything else, or neither (both empty).
template <typename Dir, typename Leaf>
struct Step {
  std::optional<Dir> dir;
  std::optional<Leaf> leaf;
};

// The leaf at `path` below `root`; nullopt where there is none or it is a directory. ELOOP past
// kMaxSymlinks. `look`: Result<Step<Dir, Leaf>>(const Dir&, std::string_view name). `read_link`:
// Result<std::optional<std::string>>( const Leaf&), the target of a symlink, nullopt for anything
// else.
template <typename Dir, typename Leaf, typename Look, typename ReadLink>
Result<std::optional<Leaf>> ResolveLeaf(Dir root, std::string_view path, Look look,
                                        ReadLink read_link) {
  std::vector<Dir> dirs;  // where the walk stands, and what ".." goes back to
  dirs.push_back(std::move(root));
  std::string pending(path);
  std::string_view rest = pending;
  int symlinks = 0;
  while (true) {
    std::string_view name = NextComponent(rest);
    if (name.empty()) return std::nullopt;
    if (name == "..") {
      if (dirs.size() > 1) dirs.pop_back();
      continue;
    }
    TRY_ASSIGN(auto step, look(dirs.back(), name));
    if (step.dir) {
      dirs.push_back(std::move(*step.dir));
      continue;
    }
    if (!step.leaf) return std::nullopt;
    std::string_view ahead = rest;
    if (NextComponent(ahead).empty()) return std::move(step.leaf);
    TRY_ASSIGN(std::optional<std::string> target, read_link(*step.leaf));
    if (!target) return std::nullopt;
    if (++symlinks > kMaxSymlinks) return Fail(ELOOP, "resolve hard link");
    if (target->starts_with('/')) dirs.erase(dirs.begin() + 1, dirs.end());
    *target += '/';
    *target += rest;
    pending = std::move(*target);
    rest = pending;
  }
}

}  // namespace veneer::tree
