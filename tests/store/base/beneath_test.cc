#include "store/base/beneath.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>

namespace veneer {
namespace {

class BeneathTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "veneer-beneath-XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    path_ = pattern;
    auto dir = OpenAt(AT_FDCWD, path_, O_RDONLY | O_DIRECTORY);
    ASSERT_TRUE(dir);
    dir_ = std::move(*dir);
    ASSERT_TRUE(EnsureDir(fd(), "inside", 0755));
  }
  void TearDown() override {
    dir_.Reset();
    std::filesystem::remove_all(path_);
  }
  int fd() const { return dir_.get(); }

  std::string path_;
  UniqueFd dir_;
};

TEST_F(BeneathTest, NamesCannotLeadOut) {
  ASSERT_EQ(symlinkat("/etc", fd(), "absolute"), 0);
  ASSERT_EQ(symlinkat("../..", fd(), "relative"), 0);
  ASSERT_EQ(symlinkat("inside", fd(), "fine"), 0);
  for (const char* out :
       {"..", "../x", "/etc/passwd", "absolute/passwd", "relative/x", "inside/../../x"}) {
    auto opened = OpenBeneath(fd(), out, O_RDONLY);
    ASSERT_FALSE(opened) << out;
    EXPECT_EQ(opened.error().code(), EXDEV) << out;
  }
  EXPECT_TRUE(OpenBeneath(fd(), "fine", O_RDONLY | O_DIRECTORY));
  EXPECT_EQ(OpenBeneath(fd(), "fine/.", O_RDONLY | O_DIRECTORY, /*follow=*/false).error().code(),
            ELOOP);
}

TEST_F(BeneathTest, EnsureDirTakesADirectoryThatIsThereAndNothingElse) {
  EXPECT_TRUE(EnsureDir(fd(), "inside", 0755));
  ASSERT_TRUE(OpenAt(fd(), "file", O_WRONLY | O_CREAT, 0644));
  EXPECT_EQ(EnsureDir(fd(), "file", 0755).error().code(), ENOTDIR);
}

TEST_F(BeneathTest, ReadFileHasALimit) {
  auto file = OpenAt(fd(), "file", O_WRONLY | O_CREAT, 0644);
  ASSERT_TRUE(file);
  ASSERT_TRUE(WriteAll(file->get(), std::string(100'000, 'x')));
  EXPECT_EQ(ReadFileAt(fd(), "file", 100'000)->size(), 100'000u);
  EXPECT_EQ(ReadFileAt(fd(), "file", 99'999).error().code(), EFBIG);
}

TEST_F(BeneathTest, RemoveTreeTakesLinksNotWhatTheyName) {
  ASSERT_TRUE(EnsureDir(fd(), "kept", 0755));
  ASSERT_TRUE(OpenAt(fd(), "kept/file", O_WRONLY | O_CREAT, 0644));
  ASSERT_EQ(symlinkat("../kept", fd(), "inside/link"), 0);
  ASSERT_TRUE(EnsureDir(fd(), "inside/deep", 0));
  ASSERT_TRUE(RemoveTree(fd(), "inside"));
  EXPECT_FALSE(std::filesystem::exists(path_ + "/inside"));
  EXPECT_TRUE(std::filesystem::exists(path_ + "/kept/file"));
  EXPECT_TRUE(RemoveTree(fd(), "inside")) << "missing is success";
}

TEST_F(BeneathTest, RemoveTreeGoesAsDeepAsDirectoriesDo) {
  auto dir = OpenAt(fd(), "inside", O_RDONLY | O_DIRECTORY);
  ASSERT_TRUE(dir);
  for (int i = 0; i < 3000; ++i) {
    ASSERT_TRUE(EnsureDir(dir->get(), "d", 0755));
    auto next = OpenAt(dir->get(), "d", O_RDONLY | O_DIRECTORY);
    ASSERT_TRUE(next);
    dir = std::move(next);
  }
  ASSERT_TRUE(RemoveTree(fd(), "inside"));
  EXPECT_FALSE(std::filesystem::exists(path_ + "/inside"));
}

TEST_F(BeneathTest, RemoveTreeStopsAtMounts) {
  ASSERT_TRUE(EnsureDir(fd(), "inside/mnt", 0755));
  ASSERT_EQ(mount("none", (path_ + "/inside/mnt").c_str(), "tmpfs", 0, nullptr), 0)
      << "needs CAP_SYS_ADMIN";
  ASSERT_TRUE(OpenAt(fd(), "inside/mnt/file", O_WRONLY | O_CREAT, 0644));
  EXPECT_EQ(RemoveTree(fd(), "inside").error().code(), EXDEV);
  EXPECT_TRUE(std::filesystem::exists(path_ + "/inside/mnt/file"));
  umount((path_ + "/inside/mnt").c_str());
}

TEST_F(BeneathTest, RemoveTreeStopsAtMountsOfTheSameFilesystem) {
  ASSERT_TRUE(EnsureDir(fd(), "inside/mnt", 0755));
  ASSERT_TRUE(EnsureDir(fd(), "kept", 0755));
  ASSERT_TRUE(OpenAt(fd(), "kept/file", O_WRONLY | O_CREAT, 0644));
  const std::string kept = path_ + "/kept", mnt = path_ + "/inside/mnt";
  ASSERT_EQ(mount(kept.c_str(), mnt.c_str(), nullptr, MS_BIND, nullptr), 0)
      << "needs CAP_SYS_ADMIN";
  EXPECT_EQ(RemoveTree(fd(), "inside").error().code(), EXDEV);
  EXPECT_EQ(RemoveTree(fd(), "inside/mnt").error().code(), EXDEV);
  EXPECT_TRUE(std::filesystem::exists(kept + "/file"));
  umount(mnt.c_str());
}

TEST_F(BeneathTest, RemoveTreeManagesModesThatForbidItToTheOwner) {
  ASSERT_EQ(chmod(path_.c_str(), 0755), 0);
  ASSERT_EQ(fchownat(fd(), "inside", 65534, 65534, 0), 0) << "needs root";
  pid_t child = fork();
  if (child == 0) {
    if (setgid(65534) != 0 || setuid(65534) != 0) _exit(1);
    const std::string inside = path_ + "/inside";
    for (const char* mode : {"0555", "0600", "0000", "0300"}) {
      std::string dir = inside + "/" + mode;
      // So deep that directories are moved, which their own modes forbid, too.
      for (int depth = 0; depth < 70; ++depth) {
        if (mkdir(dir.c_str(), 0755) != 0) _exit(2);
        dir += "/d";
      }
      if (!OpenAt(AT_FDCWD, dir, O_WRONLY | O_CREAT, 0)) _exit(3);
      auto bits = static_cast<mode_t>(std::stoul(mode, nullptr, 8));
      for (int depth = 0; depth < 70; ++depth) {
        dir.resize(dir.rfind('/'));
        if (chmod(dir.c_str(), bits) != 0) _exit(4);
      }
      if (auto removed = RemoveTree(AT_FDCWD, dir); !removed) {
        std::fprintf(stderr, "%s: %s\n", mode, removed.error().Message().c_str());
        _exit(5);
      }
      if (std::filesystem::exists(dir)) _exit(6);
    }
    _exit(0);
  }
  int status = -1;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0) << "stopped at " << WEXITSTATUS(status);
}

// What an interrupted removal had moved up is there, and is deep itself.
TEST_F(BeneathTest, RemoveTreeGoesOnWhereOneWasInterrupted) {
  std::string dir = path_ + "/inside/.veneer-deep-0";
  for (int depth = 0; depth < 200; ++depth) {
    ASSERT_EQ(mkdir(dir.c_str(), 0755), 0);
    dir += "/d";
  }
  ASSERT_TRUE(EnsureDir(fd(), "inside/.veneer-deep-1", 0755));
  ASSERT_TRUE(OpenAt(fd(), "inside/.veneer-deep-1/f", O_WRONLY | O_CREAT, 0644));
  ASSERT_TRUE(OpenAt(fd(), "inside/.veneer-deep-2", O_WRONLY | O_CREAT, 0644));
  const Result<> removed = RemoveTree(fd(), "inside");
  EXPECT_TRUE(removed) << removed.error().Message();
  EXPECT_FALSE(std::filesystem::exists(path_ + "/inside"));
}

}  // namespace
}  // namespace veneer
