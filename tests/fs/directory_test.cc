// Listings: large, merged, and stable while names come and go.
#include <dirent.h>
#include <fcntl.h>

#include <set>

#include "tests/fs/work_dir.h"

namespace veneer::fs::testing {
namespace {

constexpr int kMany = 1200;  // several calls of getdents

class Directory : public OverEachKind {
 protected:
  void Populate(const std::string& dir) override {
    MakeDirs(dir + "/many");
    for (int i = 0; i < kMany; ++i) WriteFile(dir + "/many/lower" + std::to_string(i), "");
  }
};

TEST_P(Directory, MergesManyNamesOnce) {
  for (int i = 0; i < kMany; i += 3) {
    ASSERT_EQ(unlink(At("many/lower" + std::to_string(i)).c_str()), 0);
    WriteFile(At("many/upper" + std::to_string(i)), "");
  }
  for (int round = 0; round < 2; ++round) {
    std::vector<std::string> names = ListDir(At("many"));
    EXPECT_EQ(names.size(), static_cast<size_t>(kMany));
    EXPECT_EQ(std::set(names.begin(), names.end()).size(), names.size());
    work().Remount();
  }
}

TEST_P(Directory, RemovingWhileReadingMissesNothing) {
  DIR* dir = opendir(At("many").c_str());
  ASSERT_NE(dir, nullptr);
  int removed = 0;
  while (struct dirent* entry = readdir(dir)) {
    std::string name = entry->d_name;
    if (name == "." || name == "..") continue;
    ASSERT_EQ(unlink(At("many/" + name).c_str()), 0);
    ++removed;
  }
  EXPECT_EQ(removed, kMany);
  rewinddir(dir);
  int left = 0;
  while (readdir(dir) != nullptr) ++left;
  EXPECT_EQ(left, 2);
  closedir(dir);
  EXPECT_EQ(rmdir(At("many").c_str()), 0);
}

TEST_P(Directory, PositionsStayValid) {
  DIR* dir = opendir(At("many").c_str());
  ASSERT_NE(dir, nullptr);
  for (int i = 0; i < 700; ++i) ASSERT_NE(readdir(dir), nullptr);
  long position = telldir(dir);
  std::string next = readdir(dir)->d_name;
  WriteFile(At("many/another"), "");
  ASSERT_EQ(unlink(At("many/lower7").c_str()), 0);
  while (readdir(dir) != nullptr) {
  }
  seekdir(dir, position);
  EXPECT_EQ(readdir(dir)->d_name, next);
  closedir(dir);
}

VENEER_OVER_EACH_KIND(Directory);

class FewEntries : public OverEachKind {};

TEST_P(FewEntries, LongNamesAndPaths) {
  std::string name(255, 'n');
  ASSERT_EQ(mkdir(At(name).c_str(), 0755), 0);
  EXPECT_EQ(mkdir(At(name + "n").c_str(), 0755), -1);
  EXPECT_EQ(errno, ENAMETOOLONG);
  EXPECT_EQ(access(At(std::string(256, 'x')).c_str(), F_OK), -1);
  EXPECT_EQ(errno, ENAMETOOLONG);
  // Deeper than any path: one directory after the other.
  UniqueFd at = OpenFile(work().path(), O_RDONLY | O_DIRECTORY);
  for (int i = 0; i < 40; ++i) {
    ASSERT_EQ(mkdirat(at.get(), name.c_str(), 0755), i == 0 ? -1 : 0);
    at = UniqueFd(openat(at.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    ASSERT_TRUE(at) << i;
  }
  UniqueFd file(openat(at.get(), "deep", O_CREAT | O_RDWR | O_CLOEXEC, 0644));
  EXPECT_TRUE(file);
}

TEST_P(FewEntries, RemovedDirectoryInUse) {
  ASSERT_EQ(mkdir(At("gone").c_str(), 0755), 0);
  UniqueFd fd = OpenFile(At("gone"), O_RDONLY | O_DIRECTORY);
  ASSERT_EQ(rmdir(At("gone").c_str()), 0);
  struct stat st = {};
  ASSERT_EQ(fstat(fd.get(), &st), 0);
  EXPECT_EQ(st.st_nlink, 0u);
  EXPECT_EQ(openat(fd.get(), "x", O_CREAT | O_RDWR | O_CLOEXEC, 0644), -1);
  EXPECT_EQ(errno, ENOENT);
}

VENEER_OVER_EACH_KIND(FewEntries);

}  // namespace
}  // namespace veneer::fs::testing
