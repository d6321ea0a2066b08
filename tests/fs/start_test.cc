// How veneerfs starts: what it refuses to mount, and what it must not take for granted.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

namespace veneer::fs {
namespace {

class StartTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "veneer-start-XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    base_ = pattern;
    for (const char* name : {"lower", "lower/inside", "upper", "work", "mnt"}) {
      std::filesystem::create_directory(base_ + "/" + name);
    }
    std::ofstream(base_ + "/lower/file") << "lower";
  }
  void TearDown() override {
    umount2((base_ + "/mnt").c_str(), MNT_DETACH);
    // The daemon ends after its mount, and removes its lock.
    for (const char* work : {"/work/lock", "/lower/w/lock"}) {
      for (int i = 0; i < 1000 && std::filesystem::exists(base_ + work); ++i) usleep(5000);
    }
    std::filesystem::remove_all(base_);
  }

  // Runs veneerfs in base_ and returns its exit status; `said` is its standard error.
  int Start(const std::string& options, const std::string& redirections = "") {
    std::string command = "cd '" + base_ + "' && exec " + VENEER_BIN + "/veneerfs -o " + options +
                          " mnt " + (redirections.empty() ? "2>said" : redirections);
    int status = std::system(command.c_str());
    std::ifstream file(base_ + "/said");
    said_.assign(std::istreambuf_iterator<char>(file), {});
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

  std::string base_;
  std::string said_;
};

TEST_F(StartTest, OverlappingDirectoriesAreRefused) {
  for (const char* options :
       {"lowerdir=lower,upperdir=lower,workdir=work",
        "lowerdir=lower/inside,upperdir=lower,workdir=work",
        "lowerdir=upper,upperdir=lower,workdir=upper", "lowerdir=lower,upperdir=work,workdir=work",
        "lowerdir=lower,upperdir=.,workdir=work"}) {
    EXPECT_NE(Start(options), 0) << options;
    EXPECT_TRUE(said_.starts_with("veneerfs: ")) << said_;
    EXPECT_EQ(std::count(said_.begin(), said_.end(), '\n'), 1) << said_;
  }
}

TEST_F(StartTest, UpperInsideALowerIsAllowed) {
  std::filesystem::create_directory(base_ + "/lower/u");
  std::filesystem::create_directory(base_ + "/lower/w");
  EXPECT_EQ(Start("lowerdir=lower,upperdir=lower/u,workdir=lower/w"), 0) << said_;
}

TEST_F(StartTest, ReadOnlyWithAnUpperShowsItAndRefusesChanges) {
  std::ofstream(base_ + "/upper/own") << "upper";
  ASSERT_EQ(Start("lowerdir=lower,upperdir=upper,workdir=work,ro"), 0) << said_;
  EXPECT_TRUE(std::filesystem::exists(base_ + "/mnt/own"));
  EXPECT_TRUE(std::filesystem::exists(base_ + "/mnt/file"));
  EXPECT_EQ(open((base_ + "/mnt/new").c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600), -1);
  EXPECT_EQ(errno, EROFS);
}

TEST_F(StartTest, ClosedStandardDescriptorsDoNotMatter) {
  ASSERT_EQ(Start("lowerdir=lower,upperdir=upper,workdir=work", "<&- >&- 2>&-"), 0);
  std::ofstream(base_ + "/mnt/new") << "new";
  EXPECT_TRUE(std::filesystem::exists(base_ + "/upper/new"));
  EXPECT_TRUE(std::filesystem::exists(base_ + "/mnt/file"));
}

TEST_F(StartTest, SigtermKeepsWhatAMappingChanged) {
  std::ofstream(base_ + "/lower/large") << std::string(1 << 20, 'a');
  for (int i = 0; i < 5; ++i) {
    ASSERT_EQ(Start("no_passthrough,lowerdir=lower,upperdir=upper,workdir=work"), 0) << said_;
    pid_t daemon = 0;
    std::ifstream(base_ + "/work/lock") >> daemon;
    ASSERT_GT(daemon, 1);
    int fd = open((base_ + "/mnt/large").c_str(), O_RDWR | O_CLOEXEC);
    ASSERT_GE(fd, 0);
    auto* map =
        static_cast<char*>(mmap(nullptr, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
    ASSERT_NE(map, MAP_FAILED);
    for (size_t at = 0; at < 1 << 20; at += 4096) map[at] = static_cast<char>('b' + i);
    ASSERT_EQ(kill(daemon, SIGTERM), 0);
    for (int tries = 0; tries < 1000 && kill(daemon, 0) == 0; ++tries) usleep(10'000);
    munmap(map, 1 << 20);
    close(fd);
    std::ifstream upper(base_ + "/upper/large");
    std::string content(std::istreambuf_iterator<char>(upper), {});
    EXPECT_EQ(std::count(content.begin(), content.end(), static_cast<char>('b' + i)), 256)
        << "round " << i;
  }
}

TEST_F(StartTest, DefaultAclOfTheWorkDirectoryStaysThere) {
  ASSERT_EQ(std::system(("setfacl -d -m u:99:rwx '" + base_ + "/work'").c_str()), 0);
  ASSERT_EQ(Start("lowerdir=lower,upperdir=upper,workdir=work"), 0) << said_;
  std::ofstream(base_ + "/mnt/file", std::ios::app) << "more";  // copied up through work
  EXPECT_NE(std::system(("getfacl -cp '" + base_ + "/upper/file' | grep -q 'user:99'").c_str()), 0);
}

}  // namespace
}  // namespace veneer::fs
