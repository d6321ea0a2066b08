// Inode numbers: constant over copy-up, rename and remount, unique, and the same in listings and in
// stat.
#include <dirent.h>
#include <fcntl.h>

#include <map>
#include <set>

#include "tests/fs/work_dir.h"

namespace veneer::fs::testing {
namespace {

class Identity : public OverEachKind {
 protected:
  void Populate(const std::string& dir) override {
    MakeDirs(dir + "/d/sub");
    WriteFile(dir + "/d/file", "content");
    WriteFile(dir + "/f", "f");
    ASSERT_EQ(symlink("f", (dir + "/s").c_str()), 0);
    ASSERT_EQ(mkfifo((dir + "/p").c_str(), 0644), 0);
  }
  ino_t Ino(const std::string& name) { return Stat(At(name)).st_ino; }
  // Compares d_ino with st_ino for everything, and finds numbers that are used twice.
  void CheckListings(const std::string& path, std::set<ino_t>& seen) {
    DIR* dir = opendir(path.c_str());
    ASSERT_NE(dir, nullptr);
    dev_t device = Stat(path).st_dev;
    while (struct dirent* entry = readdir(dir)) {
      std::string name = entry->d_name;
      if (name == "..") continue;
      std::string entry_path = path;
      entry_path.append("/").append(name);
      struct stat st = Stat(entry_path);
      EXPECT_EQ(entry->d_ino, st.st_ino) << entry_path;
      EXPECT_EQ(st.st_dev, device);
      if (name == ".") continue;
      EXPECT_TRUE(seen.insert(st.st_ino).second) << entry_path;
      if (S_ISDIR(st.st_mode)) CheckListings(entry_path, seen);
    }
    closedir(dir);
  }
};

TEST_P(Identity, NumbersSurviveCopyUpRenameAndRemount) {
  std::map<std::string, ino_t> before;
  for (const char* name : {"d", "d/sub", "d/file", "f", "s", "p"}) before[name] = Ino(name);
  AppendFile(At("f"), "x");
  ASSERT_EQ(chmod(At("d/file").c_str(), 0600), 0);
  ASSERT_EQ(lchown(At("s").c_str(), 1, 1), 0);
  ASSERT_EQ(chmod(At("p").c_str(), 0600), 0);
  WriteFile(At("d/sub/new"), "n");
  ino_t made = Ino("d/sub/new");
  for (const auto& [name, ino] : before) EXPECT_EQ(Ino(name), ino) << name;
  work().Remount();
  for (const auto& [name, ino] : before) EXPECT_EQ(Ino(name), ino) << name;
  EXPECT_EQ(Ino("d/sub/new"), made);
  ASSERT_EQ(rename(At("d").c_str(), At("e").c_str()), 0);
  ASSERT_EQ(rename(At("f").c_str(), At("e/f").c_str()), 0);
  EXPECT_EQ(Ino("e/file"), before["d/file"]);
  EXPECT_EQ(Ino("e/f"), before["f"]);
  work().Remount();
  EXPECT_EQ(Ino("e"), before["d"]);
  EXPECT_EQ(Ino("e/file"), before["d/file"]);
  EXPECT_EQ(Ino("e/f"), before["f"]);
  std::set<ino_t> seen;
  CheckListings(work().path(), seen);
}

TEST_P(Identity, StatDoesNotChangeOverCopyUp) {
  struct stat before = Stat(At("d/file"));
  struct stat parent = Stat(At("d"));
  {
    UniqueFd fd = OpenFile(At("d/file"), O_RDWR);
  }
  work().Remount();
  struct stat after = Stat(At("d/file"));
  EXPECT_EQ(before.st_mtim.tv_sec, after.st_mtim.tv_sec);
  EXPECT_EQ(before.st_mtim.tv_nsec, after.st_mtim.tv_nsec);
  EXPECT_EQ(before.st_mode, after.st_mode);
  EXPECT_EQ(before.st_size, after.st_size);
  EXPECT_EQ(Stat(At("d")).st_mtim.tv_nsec, parent.st_mtim.tv_nsec);
}

TEST_P(Identity, LinkCountsOfDirectories) {
  EXPECT_EQ(Stat(At("d")).st_nlink, 3u);
  ASSERT_EQ(mkdir(At("d/one").c_str(), 0755), 0);
  EXPECT_EQ(Stat(At("d")).st_nlink, 4u);
  ASSERT_EQ(rmdir(At("d/sub").c_str()), 0);
  EXPECT_EQ(Stat(At("d")).st_nlink, 3u);
  work().Remount();
  EXPECT_EQ(Stat(At("d")).st_nlink, 3u);
}

VENEER_OVER_EACH_KIND(Identity);

}  // namespace
}  // namespace veneer::fs::testing
