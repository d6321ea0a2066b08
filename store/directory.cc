#include "store/directory.h"

#include <dirent.h>
#include <fcntl.h>

#include <algorithm>
#include <memory>

#include "store/base/beneath.h"

namespace veneer {

Result<std::vector<std::string>> ListDirectory(int dirfd, const std::string& path) {
  struct CloseDir {
    void operator()(DIR* d) const { closedir(d); }
  };
  auto fd = OpenAt(dirfd, path, O_RDONLY | O_DIRECTORY);
  if (!fd) {
    if (fd.error().code() == ENOENT) return std::vector<std::string>{};
    return std::unexpected(fd.error());
  }
  std::unique_ptr<DIR, CloseDir> stream(fdopendir(fd->get()));
  if (!stream) return Errno("list " + path);
  fd->Release();  // the stream owns it
  std::vector<std::string> names;
  for (;;) {
    errno = 0;
    const dirent* entry = readdir(stream.get());
    if (!entry) break;
    std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(std::move(name));
  }
  if (errno != 0) return Errno("list " + path);
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace veneer
