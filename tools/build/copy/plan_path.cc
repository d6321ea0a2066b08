#include "tools/build/copy/plan_path.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "tools/build/language/text.h"

namespace veneer::build {
namespace {

constexpr int kMaxLinks = 255;

}  // namespace

Result<PlanPath> FollowInPlan(CopyPlan& plan, PlanNode& root, std::string_view path,
                              AboveRoot above) {
  PlanPath parts;
  std::vector<PlanNode*> directories = {&root};  // of `parts`; null where there is none
  std::vector<std::string> ahead = Split(path, '/');
  std::ranges::reverse(ahead);
  int links = 0;
  while (!ahead.empty()) {
    std::string name = std::move(ahead.back());
    ahead.pop_back();
    if (name.empty() || name == ".") continue;
    if (name == "..") {
      if (parts.empty()) {
        if (above == AboveRoot::kRefused) return Fail(EXDEV, std::string(path));
        continue;
      }
      parts.pop_back();
      directories.pop_back();
      continue;
    }
    PlanNode* directory = directories.back();
    PlanNode* next = nullptr;
    if (directory) {
      TRY_ASSIGN(const PlanKind kind, plan.Look(*directory, name));
      if (kind == PlanKind::kSymlink) {
        if (++links > kMaxLinks) return Invalid("too many links", ELOOP);
        TRY_ASSIGN(const std::string target, plan.LinkTarget(*directory, name));
        if (target.starts_with('/')) {
          parts.clear();
          directories.resize(1);
        }
        std::vector<std::string> steps = Split(target, '/');
        ahead.insert(ahead.end(), std::make_move_iterator(steps.rbegin()),
                     std::make_move_iterator(steps.rend()));
        continue;
      }
      if (kind == PlanKind::kDirectory) {
        TRY_ASSIGN(next, plan.Enter(*directory, name));
      }
    }
    parts.push_back(std::move(name));
    directories.push_back(next);
  }
  return parts;
}

Result<PlanKind> LookAt(CopyPlan& plan, PlanNode& root, const PlanPath& path) {
  PlanNode* directory = &root;
  for (size_t i = 0; i < path.size(); ++i) {
    TRY_ASSIGN(const PlanKind kind, plan.Look(*directory, path[i]));
    if (i + 1 == path.size()) return kind;
    if (kind != PlanKind::kDirectory) return PlanKind::kNothing;
    TRY_ASSIGN(directory, plan.Enter(*directory, path[i]));
  }
  return PlanKind::kDirectory;
}

Result<PlanNode*> MakeDirectories(CopyPlan& plan, PlanNode& root, const PlanPath& path,
                                  const tree::Attributes& made) {
  PlanNode* directory = &root;
  for (const std::string& name : path) {
    TRY_ASSIGN(const PlanKind kind, plan.Look(*directory, name));
    switch (kind) {
      case PlanKind::kDirectory: {
        TRY_ASSIGN(directory, plan.Enter(*directory, name));
        break;
      }
      case PlanKind::kNothing: {
        PlanFile file;
        file.attr = made;
        TRY_ASSIGN(directory, plan.Put(*directory, name, std::move(file)));
        break;
      }
      case PlanKind::kSymlink:
      case PlanKind::kOther:
        return Invalid("mkdir " + CopyPlan::PathOf(*directory, name) + ": not a directory",
                       ENOTDIR);
    }
  }
  return directory;
}

}  // namespace veneer::build
