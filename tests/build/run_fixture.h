// What the tests of RUN share: a directory of their own, and files in it.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <string>

#include "store/base/unique_fd.h"

namespace veneer::test {

// A directory that is removed with everything in it.
class RunDirectory {
 public:
  RunDirectory() {
    std::string name = std::filesystem::temp_directory_path() / "veneer-run-XXXXXX";
    if (mkdtemp(name.data()) == nullptr) std::abort();
    path_ = std::filesystem::canonical(name);
    std::filesystem::permissions(path_, std::filesystem::perms(0755));
  }
  ~RunDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  RunDirectory(const RunDirectory&) = delete;
  RunDirectory& operator=(const RunDirectory&) = delete;

  const std::string& path() const { return path_; }
  std::string At(const std::string& name) const { return path_ + "/" + name; }

  void Dir(const std::string& name) const { std::filesystem::create_directories(At(name)); }
  void File(const std::string& name, const std::string& content) const {
    std::filesystem::create_directories(std::filesystem::path(At(name)).parent_path());
    std::ofstream(At(name)) << content;
  }
  void Link(const std::string& name, const std::string& target) const {
    std::filesystem::create_directories(std::filesystem::path(At(name)).parent_path());
    std::filesystem::create_symlink(target, At(name));
  }
  UniqueFd Open() const { return UniqueFd(open(path_.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)); }

 private:
  std::string path_;
};

inline std::string ReadText(const std::string& path) {
  std::ostringstream out;
  out << std::ifstream(path).rdbuf();
  return out.str();
}

// Every file below a directory: its path, type, mode, owner, modification time, and size unless it
// is a directory. The directory itself is ".".
inline std::string Listing(const std::string& root) {
  std::ostringstream out;
  const auto line = [&](const std::string& path, const std::string& name) {
    struct stat st = {};
    lstat(path.c_str(), &st);
    out << name << " " << std::oct << st.st_mode << std::dec << " " << st.st_uid << ":" << st.st_gid
        << " " << st.st_mtim.tv_sec << "." << st.st_mtim.tv_nsec << " "
        << (S_ISDIR(st.st_mode) ? 0 : st.st_size) << "\n";
  };
  line(root, ".");
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(root))
    names.insert(entry.path().string().substr(root.size() + 1));
  for (const std::string& name : names) line(root + "/" + name, name);
  return out.str();
}

// Sets the modification times of a directory and of all below it to long ago.
inline void MakeOld(const std::string& root) {
  const timespec times[2] = {{1000000000, 0}, {1000000000, 123456789}};
  for (const auto& entry : std::filesystem::recursive_directory_iterator(root))
    utimensat(AT_FDCWD, entry.path().c_str(), times, AT_SYMLINK_NOFOLLOW);
  utimensat(AT_FDCWD, root.c_str(), times, AT_SYMLINK_NOFOLLOW);
}

}  // namespace veneer::test
