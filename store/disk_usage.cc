#include "store/disk_usage.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <optional>
#include <set>

#include "store/base/beneath.h"
#include "store/directory.h"

namespace veneer {
namespace {

// Each level has a directory open. What is deeper does not count.
constexpr int kMaxDepth = 256;

// What is gone, or what nobody lets us look into.
bool IsLeftOut(const Error& error) { return error.code() == ENOENT || error.code() == EACCES; }

class Walk {
 public:
  Result<uint64_t> Visit(int dirfd, const std::string& path, int depth = 0) {
    auto found = StatAt(dirfd, path, AT_SYMLINK_NOFOLLOW);
    if (!found) {
      if (IsLeftOut(found.error())) return uint64_t{0};
      return std::unexpected(found.error());
    }
    const struct stat& st = *found;
    if (!device_) device_ = st.st_dev;
    if (st.st_dev != *device_) return uint64_t{0};
    if (!S_ISDIR(st.st_mode) && st.st_nlink > 1 && !linked_.insert(st.st_ino).second)
      return uint64_t{0};
    uint64_t bytes = static_cast<uint64_t>(st.st_blocks) * 512;
    if (!S_ISDIR(st.st_mode) || depth >= kMaxDepth) return bytes;
    auto dir = OpenAt(dirfd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (!dir) {
      if (IsLeftOut(dir.error())) return bytes;
      return std::unexpected(dir.error());
    }
    TRY_ASSIGN(auto names, ListDirectory(dir->get(), "."));
    for (const std::string& name : names) {
      TRY_ASSIGN(uint64_t below, Visit(dir->get(), name, depth + 1));
      bytes += below;
    }
    return bytes;
  }

 private:
  std::optional<dev_t> device_;
  std::set<ino_t> linked_;  // files with several names, seen already
};

}  // namespace

Result<uint64_t> AllocatedBytes(int dirfd, const std::string& path) {
  return Walk().Visit(dirfd, path);
}

}  // namespace veneer
