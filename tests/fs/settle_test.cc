// Copy-ups that become durable later: the marker `veneer.pending`, when it goes, and what a mount
// makes of files that still carry it. What a power cut leaves is in power_cut_test.cc.
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "fs/control.h"
#include "tests/fs/work_dir.h"

namespace veneer::fs::testing {
namespace {

constexpr const char* kPending = "trusted.overlay.veneer.pending";
constexpr const char* kMetacopy = "trusted.overlay.metacopy";

enum class Form { kStack, kStubs, kChain };

class Settle : public ::testing::TestWithParam<Form> {
 protected:
  void SetUp() override { Make(""); }
  void Make(const std::string& options) {
    std::string all = options;
    if (GetParam() == Form::kStubs) all += all.empty() ? "metacopy=on" : ",metacopy=on";
    work_ = std::make_unique<WorkDir>(
        WorkDir::Setup{.kind = GetParam() == Form::kChain ? Kind::kChain : Kind::kStack,
                       .populate =
                           [](const std::string& dir) {
                             MakeDirs(dir + "/d");
                             for (const char* name : {"/f", "/d/x", "/h1"})
                               WriteFile(dir + name, Old());
                             ASSERT_EQ(link((dir + "/h1").c_str(), (dir + "/d/h2").c_str()), 0);
                           },
                       .options = all});
  }
  static std::string Old() { return std::string(100'000, 'o'); }
  WorkDir& work() { return *work_; }
  std::string At(const std::string& name) { return *work_ / name; }
  std::string Upper(const std::string& name) { return work_->upper() + "/" + name; }
  bool Pending(const std::string& name) {
    return getxattr(Upper(name).c_str(), kPending, nullptr, 0) >= 0;
  }
  bool Noted() { return Exists(work().work() + "/pending"); }
  // As a crash leaves a file whose data has not reached the disk.
  void LoseData(const std::string& name) {
    UniqueFd fd = OpenFile(Upper(name), O_RDWR);
    ASSERT_EQ(fallocate(fd.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 40'960, 8192), 0);
  }

 private:
  std::unique_ptr<WorkDir> work_;
};

TEST_P(Settle, MarkerGoesWithTheUsersSync) {
  UniqueFd fd = OpenFile(At("f"), O_WRONLY | O_APPEND);
  ASSERT_EQ(write(fd.get(), "+", 1), 1);
  EXPECT_TRUE(Pending("f"));
  EXPECT_TRUE(Noted());
  ASSERT_EQ(fdatasync(fd.get()), 0);
  EXPECT_FALSE(Pending("f"));
  EXPECT_EQ(Xattr(At("f"), kPending), "") << "never shown";
}

TEST_P(Settle, MarkersGoWithTheMountsSync) {
  for (const char* name : {"f", "d/x", "h1"}) AppendFile(At(name), "+");
  EXPECT_TRUE(Pending("f") && Pending("d/x") && Pending("h1"));
  UniqueFd root = OpenFile(work().path(), O_RDONLY | O_DIRECTORY);
  ASSERT_EQ(ioctl(root.get(), control::kSync), 0);
  EXPECT_FALSE(Pending("f") || Pending("d/x") || Pending("h1"));
}

TEST_P(Settle, MarkersGoByThemselves) {
  AppendFile(At("f"), "+");
  EXPECT_TRUE(Pending("f"));
  for (int i = 0; i < 600 && Pending("f"); ++i) usleep(50'000);
  EXPECT_FALSE(Pending("f"));
}

TEST_P(Settle, NothingIsLeftAfterAnUnmount) {
  AppendFile(At("f"), "+");
  AppendFile(At("d/h2"), "+");
  work().Unmount();
  EXPECT_FALSE(Pending("f") || Pending("h1") || Noted());
}

TEST_P(Settle, CutFilesAreNotTakenForLostOnes) {
  UniqueFd fd = OpenFile(At("f"), O_RDWR);
  ASSERT_EQ(ftruncate(fd.get(), 10), 0);
  WriteFile(At("d/x"), "");
  AppendFile(At("h1"), "+");
  ASSERT_EQ(fallocate(OpenFile(At("h1"), O_RDWR).get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                      0, 65'536),
            0);
  fd.Reset();
  work().Kill();
  work().Mount();
  EXPECT_EQ(ReadFile(At("f")), Old().substr(0, 10));
  EXPECT_EQ(ReadFile(At("d/x")), "");
  EXPECT_EQ(ReadFile(At("d/h2")), std::string(65'536, '\0') + Old().substr(65'536) + "+");
}

TEST_P(Settle, KilledDaemonLosesNothing) {
  for (const char* name : {"f", "d/x", "h1"}) AppendFile(At(name), "+");
  ASSERT_EQ(rename(At("f").c_str(), At("d/g").c_str()), 0);
  work().Kill();
  EXPECT_TRUE(Noted());
  work().Mount();
  for (const char* name : {"d/g", "d/x", "h1", "d/h2"}) {
    EXPECT_EQ(ReadFile(At(name)), Old() + "+") << name;
  }
  EXPECT_FALSE(Pending("d/g") || Noted());
}

TEST_P(Settle, LostDataIsTheLowersAgain) {
  struct stat was = Stat(At("f"));
  for (const char* name : {"f", "d/x", "h1"}) AppendFile(At(name), "+");
  ASSERT_EQ(chmod(At("d/x").c_str(), 0600), 0);
  ASSERT_EQ(rename(At("d").c_str(), At("e").c_str()), 0);
  ASSERT_EQ(rename(At("f").c_str(), At("e/g").c_str()), 0);
  work().Kill();
  LoseData("e/g");
  LoseData("h1");
  ASSERT_EQ(truncate(Upper("e/x").c_str(), 0), 0);
  work().Mount();
  for (const char* name : {"e/g", "e/x", "h1", "e/h2"}) {
    EXPECT_TRUE(ReadFile(At(name)) == Old()) << name << ": " << ReadFile(At(name)).size();
  }
  EXPECT_EQ(Stat(At("e/g")).st_mtim.tv_sec, was.st_mtim.tv_sec);
  EXPECT_EQ(Stat(At("e/x")).st_mode & 07777, 0600u);
  EXPECT_EQ(Stat(At("h1")).st_nlink, 2u);
  EXPECT_FALSE(Pending("e/g") || Pending("h1") || Noted());
  // Other programs that read the upper know no stubs, unless they were asked for.
  EXPECT_EQ(getxattr(Upper("e/g").c_str(), kMetacopy, nullptr, 0) >= 0, GetParam() != Form::kStack);
  AppendFile(At("e/g"), "+");
  AppendFile(At("h1"), "+");
  work().Remount();
  EXPECT_TRUE(ReadFile(At("e/g")) == Old() + "+");
  EXPECT_TRUE(ReadFile(At("e/h2")) == Old() + "+");
}

// The daemon that recovers may be killed too.
TEST_P(Settle, RecoveryMayBeCutShort) {
  for (const char* point :
       {"recover.before_data", "recover.before_unmark", "recover.before_note_removed"}) {
    Make("");
    AppendFile(At("f"), "+");
    AppendFile(At("d/x"), "+");
    work().Kill();
    LoseData("f");
    RunResult run =
        RunVeneerfs({"-o", work().mount_options(), work().path()}, std::string(point) + "=kill");
    EXPECT_NE(run.status, 0);
    work().Mount();
    EXPECT_TRUE(ReadFile(At("f")) == Old()) << point;
    EXPECT_TRUE(ReadFile(At("d/x")) == Old() + "+") << point;
  }
}

// One failure must not keep others from being settled, nor let a later mount take a file that was
// cut for one that is not whole.
TEST_P(Settle, FailureIsTriedAgain) {
  work().Unmount();
  work().Mount("settle.before_unmark=error:EIO");
  AppendFile(At("f"), "+");
  AppendFile(At("d/x"), "+");
  for (int i = 0; i < 600 && Pending("f") && Pending("d/x"); ++i) usleep(50'000);
  EXPECT_NE(Pending("f"), Pending("d/x"));
  for (const char* name : {"f", "d/x"}) WriteFile(At(name), "precious");
  work().Unmount();
  EXPECT_FALSE(Pending("f") || Pending("d/x") || Noted());
  work().Mount();
  for (const char* name : {"f", "d/x"}) EXPECT_EQ(ReadFile(At(name)), "precious");
}

// Sets or clears the inode flag, and keeps the others.
void SetImmutable(const std::string& path, bool immutable) {
  UniqueFd fd = OpenFile(path, O_RDONLY);
  int flags = 0;
  ASSERT_EQ(ioctl(fd.get(), FS_IOC_GETFLAGS, &flags), 0);
  flags = immutable ? flags | FS_IMMUTABLE_FL : flags & ~FS_IMMUTABLE_FL;
  ASSERT_EQ(ioctl(fd.get(), FS_IOC_SETFLAGS, &flags), 0) << path << ": " << strerror(errno);
}

TEST_P(Settle, ImmutableFilesDoNotKeepTheUpperFromBeingMounted) {
  AppendFile(At("f"), "+");
  SetImmutable(At("f"), true);
  EXPECT_FALSE(Pending("f"));
  AppendFile(At("d/x"), "+");
  work().Kill();
  SetImmutable(Upper("d/x"), true);
  work().Mount();
  EXPECT_EQ(ReadFile(At("f")), Old() + "+");
  EXPECT_EQ(ReadFile(At("d/x")), Old() + "+");
  SetImmutable(At("f"), false);
  SetImmutable(At("d/x"), false);
  work().Remount();
  EXPECT_FALSE(Pending("d/x"));
}

// Room that was reserved in the lower is a hole to lseek(2), until somebody has read it.
TEST_P(Settle, ReservedRoomInTheLowerIsNoLostData) {
  if (GetParam() == Form::kChain) return;  // objects have none
  std::string lower = work().lower() + "/f";
  work().Unmount();
  {
    UniqueFd fd = OpenFile(lower, O_RDWR | O_TRUNC);
    ASSERT_EQ(fallocate(fd.get(), 0, 0, 1 << 20), 0);
    ASSERT_EQ(pwrite(fd.get(), "OLD!", 4, (1 << 20) - 4), 4);
    ASSERT_EQ(fsync(fd.get()), 0);
    ASSERT_EQ(posix_fadvise(fd.get(), 0, 0, POSIX_FADV_DONTNEED), 0);
  }
  work().Mount();
  UniqueFd fd = OpenFile(At("f"), O_RDWR);
  ASSERT_EQ(pwrite(fd.get(), "NEW!", 4, (1 << 20) - 4), 4);
  fd.Reset();
  work().Kill();
  EXPECT_EQ(ReadFile(lower).size(), size_t{1} << 20);
  work().Mount();
  EXPECT_EQ(ReadFile(At("f")).substr((1 << 20) - 4), "NEW!");
}

TEST_P(Settle, VolatileMountsMarkNothing) {
  Make("volatile");
  AppendFile(At("f"), "+");
  EXPECT_FALSE(Pending("f") || Noted());
}

std::string FormName(const ::testing::TestParamInfo<Form>& info) {
  constexpr const char* kNames[] = {"Stack", "Stubs", "Chain"};
  return kNames[static_cast<size_t>(info.param)];
}
INSTANTIATE_TEST_SUITE_P(Each, Settle, ::testing::Values(Form::kStack, Form::kStubs, Form::kChain),
                         FormName);

}  // namespace
}  // namespace veneer::fs::testing
