#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>

#include "bench/worker/worker.h"

namespace veneer::bench {
namespace {

int OpenDir(const std::string& dir) {
  int fd = open(dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) Die(dir);
  return fd;
}

struct Name {
  char text[32];
  Name(const char* prefix, uint64_t number) {
    std::snprintf(text, sizeof text, "%s%06lu", prefix, static_cast<unsigned long>(number));
  }
};

void ExpectMissing(int dirfd, uint64_t count) {
  struct stat st;
  for (uint64_t i = 0; i < count; ++i) {
    if (fstatat(dirfd, Name("missing", i).text, &st, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT)
      Die("a missing name");
  }
}

}  // namespace

double Create(const std::string& dir, uint64_t count) {
  int dirfd = OpenDir(dir);
  Stopwatch watch;
  for (uint64_t i = 0; i < count; ++i) {
    int fd = openat(dirfd, Name("file", i).text, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0 || close(fd) != 0) Die("create");
  }
  return watch.Seconds();
}

double Stat(const std::string& dir, uint64_t count) {
  int dirfd = OpenDir(dir);
  auto all = [&] {
    struct stat st;
    for (uint64_t i = 0; i < count; ++i) {
      if (fstatat(dirfd, Name("file", i).text, &st, AT_SYMLINK_NOFOLLOW) != 0) Die("stat");
    }
  };
  all();
  Stopwatch watch;
  all();
  return watch.Seconds();
}

double Unlink(const std::string& dir, uint64_t count) {
  int dirfd = OpenDir(dir);
  Stopwatch watch;
  for (uint64_t i = 0; i < count; ++i) {
    if (unlinkat(dirfd, Name("file", i).text, 0) != 0) Die("unlink");
  }
  return watch.Seconds();
}

double Missing(const std::string& dir, uint64_t count) {
  int dirfd = OpenDir(dir);
  Stopwatch watch;
  ExpectMissing(dirfd, count);
  return watch.Seconds();
}

double MissingAgain(const std::string& dir, uint64_t count) {
  int dirfd = OpenDir(dir);
  ExpectMissing(dirfd, count);
  Stopwatch watch;
  ExpectMissing(dirfd, count);
  return watch.Seconds();
}

double StatListed(const std::string& dir, const std::string& list) {
  int dirfd = OpenDir(dir);
  std::vector<std::string> names;
  std::ifstream file(list);
  for (std::string line; std::getline(file, line);) names.push_back(line);
  Random random(1);
  for (size_t i = names.size(); i > 1; --i) std::swap(names[i - 1], names[random.Below(i)]);
  Stopwatch watch;
  struct stat st;
  for (const std::string& name : names) {
    if (fstatat(dirfd, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) Die(name);
  }
  return watch.Seconds();
}

}  // namespace veneer::bench
