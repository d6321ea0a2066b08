// The power fails: what the host's filesystem has not written is lost. Each file is the old one or
// the new one, and what was synced is there.
//
// The upper is on an ext4 of its own, on a loop device, which is shut down as if its disk had
// vanished.
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cstdlib>

#include "tests/fs/work_dir.h"

namespace veneer::fs::testing {
namespace {

// EXT4_IOC_SHUTDOWN, of the kernel's fs/ext4/ext4.h, and its way of not even writing the journal.
constexpr unsigned long kShutdown = _IOR('X', 125, uint32_t);
constexpr uint32_t kWithoutJournal = 2;

class PowerCut : public ::testing::TestWithParam<Kind> {
 protected:
  void SetUp() override {
    for (const char* dir : {"lower", "host", "mnt"}) MakeDirs(scratch_ / dir);
    Run("truncate -s 64M " + (scratch_ / "image") + " && mkfs.ext4 -q -F " + (scratch_ / "image"));
    MountHost();
    MakeDirs(scratch_ / "host/upper");
    MakeDirs(scratch_ / "host/work");
    for (const char* name : {"f", "g", "moved"}) WriteFile(scratch_ / "lower/" + name, kOld);
    WriteFile(scratch_ / "lower/h1", kOld);
    ASSERT_EQ(link((scratch_ / "lower/h1").c_str(), (scratch_ / "lower/h2").c_str()), 0);
    lower_ = "lowerdir=" + (scratch_ / "lower");
    if (GetParam() == Kind::kChain) {
      lower_ = "chain=" + MakeChain({scratch_ / "lower"}, scratch_ / "store") +
               ",objects=" + (scratch_ / "store/objects");
    }
    MountVeneer();
  }
  void TearDown() override {
    umount2((scratch_ / "mnt").c_str(), MNT_DETACH);
    EXPECT_EQ(Try("umount " + (scratch_ / "host")), 0);
  }
  static int Try(const std::string& command) {
    int status = 0;
    // The daemon lets go of the host's filesystem a moment after its own mount is gone.
    for (int i = 0; i < 100 && (status = std::system((command + " 2>/dev/null").c_str())) != 0;
         ++i) {
      usleep(20'000);
    }
    return status;
  }
  static void Run(const std::string& command) {
    ASSERT_EQ(std::system(command.c_str()), 0) << command;
  }
  void MountHost() { Run("mount -o loop " + (scratch_ / "image") + " " + (scratch_ / "host")); }
  void MountVeneer() {
    RunResult run = RunVeneerfs(
        {"-o",
         lower_ + ",upperdir=" + (scratch_ / "host/upper") + ",workdir=" + (scratch_ / "host/work"),
         scratch_ / "mnt"});
    ASSERT_EQ(run.status, 0) << run.error;
  }
  // The names that are in the journal are on the disk; what nobody synced need not be.
  void CommitJournal() {
    UniqueFd fd = OpenFile(scratch_ / "host/other", O_CREAT | O_WRONLY);
    ASSERT_EQ(fsync(fd.get()), 0);
  }
  void CutPowerAndComeBack() {
    {
      UniqueFd host = OpenFile(scratch_ / "host", O_RDONLY | O_DIRECTORY);
      uint32_t how = kWithoutJournal;
      ASSERT_EQ(ioctl(host.get(), kShutdown, &how), 0) << strerror(errno);
    }
    ASSERT_EQ(umount2((scratch_ / "mnt").c_str(), MNT_DETACH), 0);
    ASSERT_EQ(Try("umount " + (scratch_ / "host")), 0);
    MountHost();
    MountVeneer();
  }
  std::string At(const std::string& name) { return scratch_ / "mnt/" + name; }

  const std::string kOld = std::string(300'000, 'o');

 private:
  Scratch scratch_;
  std::string lower_;
};

// Others leave an empty file: they rename the copy before its data is on the disk.
TEST_P(PowerCut, CopiedUpFileIsOldOrNew) {
  ASSERT_EQ(chmod(At("g").c_str(), 0600), 0);
  for (const char* name : {"f", "g", "h1"}) {
    UniqueFd fd = OpenFile(At(name), O_RDWR);
    ASSERT_EQ(pwrite(fd.get(), "new", 3, 1000), 3);
  }
  ASSERT_EQ(rename(At("moved").c_str(), At("there").c_str()), 0);
  CommitJournal();
  CutPowerAndComeBack();
  std::string changed = kOld;
  changed.replace(1000, 3, "new");
  for (const char* name : {"f", "g", "h1"}) {
    std::string content = ReadFile(At(name));
    EXPECT_TRUE(content == kOld || content == changed) << name << ": " << content.size();
  }
  EXPECT_EQ(ReadFile(At("h2")), ReadFile(At("h1")));
  EXPECT_EQ(Stat(At("h1")).st_nlink, 2u);
  EXPECT_NE(Exists(At("moved")), Exists(At("there")));
  EXPECT_EQ(ReadFile(At(Exists(At("moved")) ? "moved" : "there")), kOld);
}

TEST_P(PowerCut, SyncedDataIsThere) {
  ASSERT_EQ(chmod(At("g").c_str(), 0600), 0);
  for (const char* name : {"f", "g", "h1", "made"}) {
    UniqueFd fd = OpenFile(At(name), O_CREAT | O_RDWR);
    ASSERT_EQ(pwrite(fd.get(), "new", 3, 299'990), 3);
    ASSERT_EQ(fsync(fd.get()), 0);
  }
  UniqueFd dir = OpenFile(At(""), O_RDONLY | O_DIRECTORY);
  ASSERT_EQ(unlink(At("moved").c_str()), 0);
  ASSERT_EQ(fsync(dir.get()), 0);
  dir.Reset();
  CutPowerAndComeBack();
  std::string expected = kOld;
  expected.replace(299'990, 3, "new");
  for (const char* name : {"f", "g", "h1", "h2"}) EXPECT_EQ(ReadFile(At(name)), expected) << name;
  EXPECT_EQ(ReadFile(At("made")), std::string(299'990, '\0') + "new");
  EXPECT_EQ(Stat(At("g")).st_mode & 07777, 0600u);
  EXPECT_FALSE(Exists(At("moved")));
}

INSTANTIATE_TEST_SUITE_P(Each, PowerCut, ::testing::Values(Kind::kStack, Kind::kChain), KindName);

}  // namespace
}  // namespace veneer::fs::testing
