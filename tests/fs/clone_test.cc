// On a filesystem whose files can share blocks, data is cloned: a copy-up, and copy_file_range in
// the mount, take no space.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

#include "tests/fs/work_dir.h"

namespace veneer::fs::testing {
namespace {

constexpr size_t kSize = 64 << 20;
constexpr uint64_t kLittle = 8 << 20;  // what names, inodes and the log may take

class Clone : public ::testing::Test {
 protected:
  void SetUp() override {
    MakeDirs(scratch_ / "host");
    ASSERT_EQ(std::system(("truncate -s 512M " + (scratch_ / "image") +
                           " && mkfs.xfs -q -m reflink=1 " + (scratch_ / "image") +
                           " && mount -o loop " + (scratch_ / "image") + " " + Host(""))
                              .c_str()),
              0)
        << "xfsprogs is needed, and xfs in the kernel";
    for (const char* dir : {"/lower", "/upper", "/work", "/mnt"}) MakeDirs(Host(dir));
    WriteFile(Host("/lower/f"), std::string(kSize, 'f'));
    UniqueFd lower = OpenFile(Host("/lower/f"), O_RDONLY);
    ASSERT_EQ(fsync(lower.get()), 0);
    RunResult run = RunVeneerfs(
        {"-o",
         "lowerdir=" + Host("/lower") + ",upperdir=" + Host("/upper") + ",workdir=" + Host("/work"),
         Host("/mnt")});
    ASSERT_EQ(run.status, 0) << run.error;
  }
  void TearDown() override {
    EXPECT_EQ(umount(Host("/mnt").c_str()), 0);
    int rc = -1;
    // The daemon lets go of the host's filesystem a moment after its mount is gone.
    for (int i = 0; i < 200 && (rc = umount(Host("").c_str())) != 0; ++i) usleep(20'000);
    EXPECT_EQ(rc, 0);
  }
  std::string Host(const std::string& path) const { return (scratch_ / "host") + path; }
  void WriteFirstByte(const std::string& byte) {
    UniqueFd fd = OpenFile(Host("/mnt/f"), O_WRONLY);
    EXPECT_EQ(write(fd.get(), byte.data(), 1), 1);
  }
  uint64_t Taken() {
    UniqueFd host = OpenFile(Host(""), O_RDONLY | O_DIRECTORY);
    EXPECT_EQ(syncfs(host.get()), 0);
    struct statvfs st = {};
    EXPECT_EQ(fstatvfs(host.get(), &st), 0);
    return (st.f_blocks - st.f_bfree) * st.f_frsize;
  }

 private:
  Scratch scratch_;
};

TEST_F(Clone, CopyUpSharesTheLowersBlocks) {
  uint64_t before = Taken();
  // Not behind the end: xfs keeps as much room again there until the daemon has closed the file,
  // for which close(2) in the mount does not wait.
  WriteFirstByte("+");
  EXPECT_LT(Taken() - before, kLittle);
  EXPECT_EQ(ReadFile(Host("/upper/f")), "+" + std::string(kSize - 1, 'f'));
  EXPECT_EQ(ReadFile(Host("/lower/f")), std::string(kSize, 'f'));
}

TEST_F(Clone, CopyFileRangeSharesBlocks) {
  WriteFirstByte("f");
  uint64_t before = Taken();
  UniqueFd from = OpenFile(Host("/mnt/f"), O_RDONLY);
  UniqueFd to = OpenFile(Host("/mnt/copy"), O_WRONLY | O_CREAT);
  for (size_t done = 0; done < kSize;) {
    ssize_t n = copy_file_range(from.get(), nullptr, to.get(), nullptr, kSize - done, 0);
    ASSERT_GT(n, 0);
    done += static_cast<size_t>(n);
  }
  EXPECT_LT(Taken() - before, kLittle);
  EXPECT_EQ(ReadFile(Host("/mnt/copy")), std::string(kSize, 'f'));
}

}  // namespace
}  // namespace veneer::fs::testing
