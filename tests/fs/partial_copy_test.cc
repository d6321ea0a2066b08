// Large files are copied up block by block: who writes goes on at once, what has not come is read
// from the lower, and a crash or a full disk loses nothing.
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cstdlib>
#include <random>

#include "fs/control.h"
#include "tests/fs/work_dir.h"

namespace veneer::fs::testing {
namespace {

constexpr size_t kSize = (12 << 20) + 12345;

std::string Pattern(size_t size) {
  std::string text(size, '\0');
  std::mt19937_64 random(7);
  for (size_t i = 0; i + 8 <= size; i += 8) {
    uint64_t word = random();
    memcpy(&text[i], &word, 8);
  }
  return text;
}

const std::string& Old() {
  static const std::string old = Pattern(kSize);
  return old;
}

// As EXPECT_EQ, without the megabytes.
void ExpectSame(const std::string& is, const std::string& expected, const char* what) {
  if (is == expected) return;
  size_t at = 0;
  while (at < std::min(is.size(), expected.size()) && is[at] == expected[at]) ++at;
  ADD_FAILURE() << what << ": " << is.size() << " bytes for " << expected.size()
                << ", the first difference at " << at;
}

// A stack (with metacopy=on: others keep to whole copies), a store chain, one whose file is a stub.
enum class Form { kStack, kChain, kChainStub };

class Partial : public ::testing::TestWithParam<Form> {
 protected:
  // Each piece of 1 MiB takes so long that a test sees the file on its way.
  static constexpr const char* kSlowly = "copy_up.before_piece=delay:150";

  void SetUp() override {
    work_ = std::make_unique<WorkDir>(
        WorkDir::Setup{.kind = GetParam() == Form::kStack ? Kind::kStack : Kind::kChain,
                       .populate =
                           [](const std::string& dir) {
                             WriteFile(dir + "/f", Old());
                             WriteFile(dir + "/other", "other");
                             UniqueFd sparse = OpenFile(dir + "/sparse", O_RDWR | O_CREAT);
                             ASSERT_EQ(pwrite(sparse.get(), "x", 1, 30 << 20), 1);
                             ASSERT_EQ(pwrite(sparse.get(), "y", 1, 1 << 20), 1);
                           },
                       .options = GetParam() == Form::kStack ? "metacopy=on" : ""});
    lower_ = work().LowerText();
    Restart(kSlowly);
    if (GetParam() == Form::kChainStub) {
      ASSERT_EQ(chmod(At("f").c_str(), 0640), 0);
    }
  }
  void TearDown() override { EXPECT_EQ(work().LowerText(), lower_); }
  void Restart(const std::string& faults = "") {
    work().Unmount();
    work().Mount(faults);
  }
  WorkDir& work() { return *work_; }
  std::string At(const std::string& name) { return *work_ / name; }
  control::Stats Stats() {
    UniqueFd root = OpenFile(work().path(), O_RDONLY | O_DIRECTORY);
    control::Stats stats = {};
    EXPECT_EQ(ioctl(root.get(), control::kStats, &stats), 0);
    return stats;
  }
  uint64_t Copied() { return Stats().bytes_copied; }
  void ExpectOnItsWay() {
    EXPECT_LT(Copied(), kSize);
    EXPECT_EQ(Stats().copying, 1U);
  }

 private:
  std::unique_ptr<WorkDir> work_;
  std::string lower_;
};

TEST_P(Partial, WriterGoesOnAndEveryoneSeesOneFile) {
  UniqueFd before = OpenFile(At("f"), O_RDONLY);
  auto* map =
      static_cast<const char*>(mmap(nullptr, kSize, PROT_READ, MAP_SHARED, before.get(), 0));
  ASSERT_NE(map, MAP_FAILED);
  EXPECT_EQ(map[5000], Old()[5000]);
  UniqueFd fd = OpenFile(At("f"), O_RDWR);
  std::string expected = Old();
  auto put = [&](size_t at, const std::string& text) {
    ASSERT_EQ(pwrite(fd.get(), text.data(), text.size(), static_cast<off_t>(at)),
              static_cast<ssize_t>(text.size()));
    if (expected.size() < at + text.size()) expected.resize(at + text.size());
    expected.replace(at, text.size(), text);
  };
  put(5000, "small");
  put(9 << 20, std::string(200'000, 'b'));  // whole blocks and parts of some
  put((6 << 20) - 3, "over the edge of a block");
  put(kSize - 2, "beyond the end");
  put(kSize + 300'000, "far beyond the end");
  ExpectOnItsWay();
  ExpectSame(ReadFd(before.get()), expected, "through a descriptor opened before");
  ExpectSame(ReadFile(At("f")), expected, "through a new one");
  EXPECT_EQ(std::string(map + 5000, 5), "small");
  ExpectOnItsWay();
  ASSERT_EQ(fsync(fd.get()), 0);
  EXPECT_GE(Copied() + 200'000, kSize - (1 << 20));
  EXPECT_EQ(Stats().copying, 0U);
  ExpectSame(ReadFile(work().upper() + "/f"), expected, "in the upper, once synced");
  munmap(const_cast<char*>(map), kSize);
  fd.Reset();
  before.Reset();
  Restart();
  ExpectSame(ReadFile(At("f")), expected, "after a remount");
}

TEST_P(Partial, NobodyElseWaits) {
  UniqueFd fd = OpenFile(At("f"), O_RDWR);
  EXPECT_EQ(ReadFile(At("other")), "other");
  AppendFile(At("other"), "+");
  ASSERT_EQ(rename(At("other").c_str(), At("another").c_str()), 0);
  EXPECT_EQ(Stat(At("f")).st_size, static_cast<off_t>(kSize));
  ExpectOnItsWay();
}

TEST_P(Partial, CutAndGrownWhileItComes) {
  std::string expected = Old();
  UniqueFd fd = OpenFile(At("f"), O_RDWR);
  ASSERT_EQ(pwrite(fd.get(), "one", 3, 11 << 20), 3);
  ASSERT_EQ(ftruncate(fd.get(), (7 << 20) + 777), 0);
  ASSERT_EQ(ftruncate(fd.get(), (9 << 20)), 0);
  ASSERT_EQ(pwrite(fd.get(), "two", 3, (7 << 20) + 5000), 3);
  expected.resize((7 << 20) + 777);
  expected.resize(9 << 20);
  expected.replace((7 << 20) + 5000, 3, "two");
  ExpectOnItsWay();
  ExpectSame(ReadFile(At("f")), expected, "on its way");
  EXPECT_EQ(Stat(At("f")).st_size, 9 << 20);
  fd.Reset();
  Restart();
  ExpectSame(ReadFile(At("f")), expected, "after a remount");
}

TEST_P(Partial, EmptiedWhileItComes) {
  UniqueFd fd = OpenFile(At("f"), O_RDWR);
  WriteFile(At("f"), "anew");
  ExpectOnItsWay();
  EXPECT_EQ(ReadFd(fd.get()), "anew");
  fd.Reset();
  Restart();
  EXPECT_EQ(ReadFile(At("f")), "anew");
}

TEST_P(Partial, AttributesAreTheUsers) {
  struct stat was = Stat(At("f"));
  UniqueFd fd = OpenFile(At("f"), O_RDWR);
  EXPECT_EQ(Stat(At("f")).st_mtim.tv_sec, was.st_mtim.tv_sec) << "opening changes no time";
  EXPECT_EQ(Stat(At("f")).st_nlink, 1u);
  EXPECT_EQ(Stat(At("f")).st_ino, was.st_ino);
  struct timespec times[2] = {{1000, 5}, {2000, 6}};
  ASSERT_EQ(utimensat(AT_FDCWD, At("f").c_str(), times, 0), 0);
  ASSERT_EQ(chmod(At("f").c_str(), 0604), 0);
  ASSERT_EQ(chown(At("f").c_str(), 12, 34), 0);
  ASSERT_EQ(setxattr(At("f").c_str(), "user.note", "n", 1, 0), 0);
  ExpectOnItsWay();
  fd.Reset();
  Restart();
  struct stat st = Stat(At("f"));
  EXPECT_EQ(st.st_mtim.tv_sec, 2000);
  EXPECT_EQ(st.st_mtim.tv_nsec, 6);
  EXPECT_EQ(st.st_mode & 07777, 0604u);
  EXPECT_EQ(st.st_uid, 12u);
  EXPECT_EQ(st.st_gid, 34u);
  EXPECT_EQ(st.st_ino, was.st_ino);
  EXPECT_EQ(Xattr(At("f"), "user.note"), "n");
  ExpectSame(ReadFile(At("f")), Old(), "after a remount");
}

TEST_P(Partial, GivenOtherNames) {
  UniqueFd fd = OpenFile(At("f"), O_RDWR);
  ASSERT_EQ(pwrite(fd.get(), "new", 3, 0), 3);
  ASSERT_EQ(rename(At("f").c_str(), At("g").c_str()), 0);
  ASSERT_EQ(link(At("g").c_str(), At("h").c_str()), 0);
  std::string expected = Old();
  expected.replace(0, 3, "new");
  EXPECT_FALSE(Exists(At("f")));
  EXPECT_EQ(Stat(At("h")).st_nlink, 2u);
  ExpectSame(ReadFile(At("h")), expected, "linked");
  fd.Reset();
  Restart();
  EXPECT_FALSE(Exists(At("f")));
  ExpectSame(ReadFile(At("g")), expected, "after a remount");
}

TEST_P(Partial, RemovedWhileItComes) {
  UniqueFd fd = OpenFile(At("f"), O_RDWR);
  ASSERT_EQ(pwrite(fd.get(), "new", 3, 7 << 20), 3);
  ASSERT_EQ(unlink(At("f").c_str()), 0);
  EXPECT_FALSE(Exists(At("f")));
  struct stat st = {};
  ASSERT_EQ(fstat(fd.get(), &st), 0);
  EXPECT_EQ(st.st_nlink, 0u);
  std::string expected = Old();
  expected.replace(7 << 20, 3, "new");
  ExpectSame(ReadFd(fd.get()), expected, "without a name");
  ASSERT_EQ(pwrite(fd.get(), "more", 4, 0), 4);
  expected.replace(0, 4, "more");
  ASSERT_EQ(fsync(fd.get()), 0);
  ExpectSame(ReadFd(fd.get()), expected, "and whole");
  WriteFile(At("f"), "another");
  fd.Reset();
  Restart();
  EXPECT_EQ(ReadFile(At("f")), "another");
  EXPECT_TRUE(ListDir(work().work() + "/work").empty());
}

TEST_P(Partial, HolesStayHoles) {
  UniqueFd fd = OpenFile(At("sparse"), O_RDWR);
  ASSERT_EQ(pwrite(fd.get(), "z", 1, 8 << 20), 1);
  ASSERT_EQ(fsync(fd.get()), 0);
  struct stat st = Stat(work().upper() + "/sparse");
  EXPECT_EQ(st.st_size, (30 << 20) + 1);
  EXPECT_LT(st.st_blocks * 512, 2 << 20);
  ASSERT_EQ(fallocate(fd.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 1 << 20, 4096), 0);
  fd.Reset();
  Restart();
  std::string content = ReadFile(At("sparse"));
  EXPECT_EQ(content[1 << 20], '\0');
  EXPECT_EQ(content[8 << 20], 'z');
  EXPECT_EQ(content[30 << 20], 'x');
}

TEST_P(Partial, SyncOfTheMountAwaitsIt) {
  UniqueFd fd = OpenFile(At("f"), O_RDWR);
  ASSERT_EQ(pwrite(fd.get(), "new", 3, 0), 3);
  UniqueFd root = OpenFile(work().path(), O_RDONLY | O_DIRECTORY);
  ASSERT_EQ(ioctl(root.get(), control::kSync), 0);
  std::string expected = Old();
  expected.replace(0, 3, "new");
  ExpectSame(ReadFile(work().upper() + "/f"), expected, "in the upper");
  EXPECT_EQ(Xattr(work().upper() + "/f", "trusted.overlay.metacopy"), "");
}

TEST_P(Partial, FreezingAwaitsIt) {
  UniqueFd fd = OpenFile(At("f"), O_RDWR);
  ASSERT_EQ(pwrite(fd.get(), "new", 3, 0), 3);
  UniqueFd root = OpenFile(work().path(), O_RDONLY | O_DIRECTORY);
  control::Freeze freeze = {.timeout_ms = 60'000, .reserved = 0};
  ASSERT_EQ(ioctl(root.get(), control::kFreeze, &freeze), 0);
  std::string expected = Old();
  expected.replace(0, 3, "new");
  ExpectSame(ReadFile(work().upper() + "/f"), expected, "in the upper");
  ASSERT_EQ(ioctl(root.get(), control::kThaw), 0);
}

TEST_P(Partial, KilledDaemonLeavesTheOldFile) {
  UniqueFd fd = OpenFile(At("f"), O_RDWR);
  ASSERT_EQ(pwrite(fd.get(), "new", 3, 0), 3);
  ExpectOnItsWay();
  fd.Reset();
  work().Kill();
  work().Mount();
  ExpectSame(ReadFile(At("f")), Old(), "after the kill");
  AppendFile(At("f"), "+");
  work().Remount();
  ExpectSame(ReadFile(At("f")), Old() + "+", "changed again");
}

TEST_P(Partial, KilledAtEachPointItIsOldOrNew) {
  std::string expected = Old();
  expected.replace(3 << 20, 3, "new");
  for (const char* point :
       {"copy_up.before_piece", "copy_up.before_piece@4", "partial.before_write",
        "copy_up.before_whole", "copy_up.after_whole"}) {
    SCOPED_TRACE(point);
    std::string at(point);
    size_t number = std::min(at.find('@'), at.size());
    std::string faults = at.substr(0, number) + "=kill" + at.substr(number);
    // A write must come while the file is on its way.
    if (at == "partial.before_write") faults += std::string(";") + kSlowly;
    Restart(faults);
    {
      UniqueFd fd(open(At("f").c_str(), O_RDWR | O_CLOEXEC));
      if (fd) (void)!pwrite(fd.get(), "new", 3, 3 << 20);
      if (fd) fsync(fd.get());
    }
    work().AwaitDeath();
    work().Mount();
    std::string now = ReadFile(At("f"));
    if (now != expected) ExpectSame(now, Old(), "after the kill");
    EXPECT_EQ(Stat(At("f")).st_nlink, 1u);
    EXPECT_EQ(ReadFile(At("other")), "other");
  }
}

TEST_P(Partial, IsCopiedFromAsAWhole) {
  UniqueFd fd = OpenFile(At("f"), O_RDWR);
  ASSERT_EQ(pwrite(fd.get(), "new", 3, 7 << 20), 3);
  UniqueFd to = OpenFile(At("copy"), O_WRONLY | O_CREAT);
  for (size_t done = 0; done < kSize;) {
    ssize_t n = copy_file_range(fd.get(), nullptr, to.get(), nullptr, kSize - done, 0);
    ASSERT_GT(n, 0);
    done += static_cast<size_t>(n);
  }
  std::string expected = Old();
  expected.replace(7 << 20, 3, "new");
  ExpectSame(ReadFile(At("copy")), expected, "copied");
}

TEST_P(Partial, PrivilegesThatAreGivenMeanwhileLast) {
  // cap_net_raw+ep, as struct vfs_cap_data of revision 2.
  const std::string capability("\1\0\0\2\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20);
  ASSERT_EQ(setxattr(At("f").c_str(), "security.capability", capability.data(), 20, 0), 0);
  EXPECT_EQ(Xattr(At("f"), "security.capability"), capability);
  UniqueFd fd = OpenFile(At("f"), O_RDWR);
  ASSERT_EQ(chmod(At("f").c_str(), 04755), 0);
  fd.Reset();
  Restart();
  EXPECT_EQ(Stat(At("f")).st_mode & 07777, 04755u);
  EXPECT_EQ(Xattr(At("f"), "security.capability"), capability);
}

TEST_P(Partial, FailureInTheBackgroundLosesNothing) {
  Restart("copy_up.before_piece=error:EIO@3");
  UniqueFd fd = OpenFile(At("f"), O_RDWR);
  ASSERT_EQ(pwrite(fd.get(), "new", 3, 7 << 20), 3);
  fd.Reset();
  AppendFile(At("other"), "+");
  usleep(200'000);
  UniqueFd root = OpenFile(work().path(), O_RDONLY | O_DIRECTORY);
  control::Freeze freeze = {.timeout_ms = 60'000, .reserved = 0};
  // At once: what is in the upper is not what the mount shows.
  EXPECT_EQ(ioctl(root.get(), control::kFreeze, &freeze), -1);
  EXPECT_EQ(errno, EIO);
  ASSERT_EQ(ioctl(root.get(), control::kSync), 0) << "it is tried again";
  ASSERT_EQ(ioctl(root.get(), control::kFreeze, &freeze), 0);
  ASSERT_EQ(ioctl(root.get(), control::kThaw), 0);
  root.Reset();
  std::string expected = Old();
  expected.replace(7 << 20, 3, "new");
  ExpectSame(ReadFile(At("f")), expected, "in the same mount");
  Restart();
  ExpectSame(ReadFile(At("f")), expected, "after a remount");
}

std::string FormName(const ::testing::TestParamInfo<Form>& info) {
  constexpr const char* kNames[] = {"Stack", "Chain", "ChainStub"};
  return kNames[static_cast<size_t>(info.param)];
}
INSTANTIATE_TEST_SUITE_P(Each, Partial,
                         ::testing::Values(Form::kStack, Form::kChain, Form::kChainStub), FormName);

// A write that was accepted must not fail later for want of room.
TEST(PartialOnAFullDisk, IsRefusedAtTheStart) {
  Scratch scratch;
  for (const char* dir : {"lower", "host", "mnt"}) MakeDirs(scratch / dir);
  WriteFile(scratch / "lower/f", Old());
  ASSERT_EQ(std::system(("truncate -s 12M " + (scratch / "image") + " && mkfs.ext4 -q -F " +
                         (scratch / "image") + " && mount -o loop " + (scratch / "image") + " " +
                         (scratch / "host"))
                            .c_str()),
            0);
  MakeDirs(scratch / "host/upper");
  MakeDirs(scratch / "host/work");
  RunResult run =
      RunVeneerfs({"-o",
                   "lowerdir=" + (scratch / "lower") + ",upperdir=" + (scratch / "host/upper") +
                       ",workdir=" + (scratch / "host/work"),
                   scratch / "mnt"});
  ASSERT_EQ(run.status, 0) << run.error;
  EXPECT_EQ(open((scratch / "mnt/f").c_str(), O_RDWR | O_CLOEXEC), -1);
  EXPECT_EQ(errno, ENOSPC);
  ExpectSame(ReadFile(scratch / "mnt/f"), Old(), "still the lower's");
  WriteFile(scratch / "mnt/small", "there is room again");
  umount2((scratch / "mnt").c_str(), 0);
  int status = -1;
  for (int i = 0; i < 200 && status != 0; ++i) {
    status = umount2((scratch / "host").c_str(), 0);
    if (status != 0) usleep(20'000);
  }
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace veneer::fs::testing
