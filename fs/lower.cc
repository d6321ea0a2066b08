#include "fs/lower.h"

namespace veneer::fs {

Result<LowerRef> Lower::LookupPath(std::string_view path) {
  TRY_ASSIGN(LowerRef root, Root());
  return LookupPathFrom(std::move(root), path);
}

Result<LowerRef> Lower::LookupPathFrom(LowerRef ref, std::string_view path) {
  while (!path.empty()) {
    size_t slash = path.find('/');
    std::string_view part = path.substr(0, slash);
    path.remove_prefix(slash == path.npos ? path.size() : slash + 1);
    if (part.empty()) continue;
    if (!ref.IsDir() || part == "." || part == "..") return LowerRef{};
    TRY_ASSIGN(ref, Lookup(ref, part));
    if (!ref) return ref;
  }
  return ref;
}

}  // namespace veneer::fs
