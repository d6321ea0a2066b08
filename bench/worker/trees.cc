#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <functional>

#include "bench/worker/worker.h"

namespace veneer::bench {
namespace {

// Called for each name below the root with the directory's descriptor.
using Visit = std::function<void(int dirfd, const char* name, const struct stat& st)>;

// Takes `dirfd` over.
void WalkDir(int dirfd, const Visit& visit) {
  DIR* dir = fdopendir(dirfd);
  if (!dir) Die("fdopendir");
  std::vector<std::string> below;
  errno = 0;
  for (dirent* entry; (entry = readdir(dir)) != nullptr; errno = 0) {
    std::string_view name = entry->d_name;
    if (name == "." || name == "..") continue;
    struct stat st;
    if (fstatat(dirfd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0) Die(entry->d_name);
    visit(dirfd, entry->d_name, st);
    if (S_ISDIR(st.st_mode)) below.emplace_back(name);
  }
  if (errno != 0) Die("readdir");
  for (const std::string& name : below) {
    int fd = openat(dirfd, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) Die(name);
    WalkDir(fd, visit);
  }
  closedir(dir);
}

void WalkTree(const std::string& root, const Visit& visit) {
  int fd = open(root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) Die(root);
  WalkDir(fd, visit);
}

}  // namespace

double Walk(const std::string& root, uint64_t processes) {
  auto all = [&] { WalkTree(root, [](int, const char*, const struct stat&) {}); };
  Stopwatch watch;
  if (processes <= 1) {
    all();
    return watch.Seconds();
  }
  std::vector<pid_t> children;
  for (uint64_t i = 0; i < processes; ++i) {
    pid_t child = fork();
    if (child < 0) Die("fork");
    if (child == 0) {
      all();
      _exit(0);
    }
    children.push_back(child);
  }
  for (pid_t child : children) {
    int status = 0;
    if (waitpid(child, &status, 0) < 0 || status != 0) Die("a walking process");
  }
  return watch.Seconds();
}

double ReadTree(const std::string& root) {
  std::vector<char> buffer(128 << 10);
  Stopwatch watch;
  WalkTree(root, [&](int dirfd, const char* name, const struct stat& st) {
    if (!S_ISREG(st.st_mode)) return;
    int fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) Die(name);
    ssize_t n;
    while ((n = read(fd, buffer.data(), buffer.size())) > 0) {
    }
    if (n < 0) Die(name);
    close(fd);
  });
  return watch.Seconds();
}

double AppendEach(const std::string& root, uint64_t count) {
  std::vector<std::string> files;
  std::function<void(const std::string&)> collect = [&](const std::string& path) {
    DIR* dir = opendir(path.c_str());
    if (!dir) Die(path);
    std::vector<std::string> names, below;
    while (dirent* entry = readdir(dir)) {
      std::string name = entry->d_name;
      if (entry->d_type == DT_REG) names.push_back(name);
      if (entry->d_type == DT_DIR && name != "." && name != "..") below.push_back(name);
    }
    closedir(dir);
    std::sort(names.begin(), names.end());
    std::sort(below.begin(), below.end());
    for (const std::string& name : names) {
      if (files.size() < count) files.push_back(path + "/" + name);
    }
    for (const std::string& name : below) {
      if (files.size() < count) collect(path + "/" + name);
    }
  };
  collect(root);
  if (files.size() < count) {
    errno = ENOENT;
    Die(root + " has too few files");
  }
  Stopwatch watch;
  for (const std::string& file : files) {
    int fd = open(file.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
    if (fd < 0 || write(fd, "x", 1) != 1 || close(fd) != 0) Die(file);
  }
  return watch.Seconds();
}

}  // namespace veneer::bench
