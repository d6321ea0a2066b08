#include "fs/overlap.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <utility>

#include "store/base/beneath.h"

namespace veneer::fs {
namespace {

using FileId = std::pair<dev_t, ino_t>;

// `path` and all directories above it, itself first.
Result<std::vector<FileId>> Ancestry(const std::string& path) {
  auto dir = OpenAt(AT_FDCWD, path, O_PATH | O_DIRECTORY);
  if (!dir) return std::unexpected(dir.error().Within("directory " + path));
  std::vector<FileId> ids;
  for (;;) {
    TRY_ASSIGN(struct stat st, StatAt(dir->get(), "", AT_EMPTY_PATH));
    FileId id(st.st_dev, st.st_ino);
    if (!ids.empty() && ids.back() == id) return ids;  // ".." of the root is the root
    ids.push_back(id);
    TRY_ASSIGN(*dir, OpenAt(dir->get(), "..", O_PATH | O_DIRECTORY));
  }
}

Result<> RefuseInside(const std::string& inner, const char* inner_is, const std::string& outer,
                      const char* outer_is) {
  TRY_ASSIGN(auto ancestry, Ancestry(inner));
  TRY_ASSIGN(auto outer_ancestry, Ancestry(outer));
  for (const FileId& id : ancestry) {
    if (id != outer_ancestry.front()) continue;
    return Invalid(std::string(inner_is) + " " + inner + " must not be, or lie in, the " +
                   outer_is + " " + outer);
  }
  return {};
}

}  // namespace

Result<> RefuseOverlap(const std::string& upper, const std::string& work,
                       const std::vector<std::string>& lowers) {
  TRY(RefuseInside(work, "workdir", upper, "upperdir"));
  TRY(RefuseInside(upper, "upperdir", work, "workdir"));
  for (const std::string& lower : lowers) {
    TRY(RefuseInside(lower, "lowerdir", upper, "upperdir"));
    TRY(RefuseInside(lower, "lowerdir", work, "workdir"));
  }
  return {};
}

}  // namespace veneer::fs
