// Lowers are reached through read-only clones of their mounts: not even the daemon can write there.
#include "fs/read_only_clone.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <filesystem>

#include "tests/fs/work_dir.h"

namespace veneer::fs::testing {
namespace {

TEST(ReadOnlyClone, RefusesEveryWritableOpen) {
  Scratch scratch;
  WriteFile(scratch / "f", "lower");
  auto dir = OpenReadOnlyClone(scratch.path(), O_RDONLY);
  ASSERT_TRUE(dir) << dir.error().Message();
  UniqueFd file(openat(dir->get(), "f", O_RDONLY | O_CLOEXEC));
  EXPECT_EQ(ReadFd(file.get()), "lower");
  for (int flags : {O_RDWR, O_WRONLY, O_RDONLY | O_TRUNC, O_RDWR | O_CREAT}) {
    EXPECT_EQ(openat(dir->get(), "f", flags, 0600), -1);
    EXPECT_EQ(errno, EROFS);
  }
  std::string again = "/proc/self/fd/" + std::to_string(file.get());
  EXPECT_EQ(open(again.c_str(), O_RDWR | O_CLOEXEC), -1) << "as the kernel opens backing files";
  EXPECT_EQ(errno, EROFS);
  WriteFile(scratch / "f", "changed outside");
  EXPECT_EQ(ReadFd(file.get()), "changed outside") << "a clone of the mount, not a copy";
}

TEST(ReadOnlyClone, TellsWhatIsWrongWithThePath) {
  Scratch scratch;
  WriteFile(scratch / "f", "");
  EXPECT_EQ(OpenReadOnlyClone(scratch / "missing", O_RDONLY).error().code(), ENOENT);
  EXPECT_EQ(OpenReadOnlyClone(scratch / "f", O_RDONLY).error().code(), ENOTDIR);
}

class LowerOfMount : public ::testing::TestWithParam<Kind> {};

// Every descriptor that the daemon holds below the lower refuses to be opened for writing.
TEST_P(LowerOfMount, CannotBeWrittenThroughTheDaemonsDescriptors) {
  WorkDir::Setup setup;
  setup.kind = GetParam();
  setup.populate = [](const std::string& dir) { WriteFile(dir + "/f", "bytes of the lower"); };
  WorkDir work(setup);
  UniqueFd open = OpenFile(work / "f", O_RDONLY);
  EXPECT_EQ(ReadFd(open.get()), "bytes of the lower");
  // The chain's own folder is not a lower: damaged trees are set aside there.
  std::string root = work.lower() + (GetParam() == Kind::kChain ? "/objects" : "");
  struct stat lower = {};
  ASSERT_EQ(stat(root.c_str(), &lower), 0);
  int met = 0;
  for (const auto& entry :
       std::filesystem::directory_iterator("/proc/" + std::to_string(work.pid()) + "/fd")) {
    struct stat st = {};
    std::string path = entry.path();
    if (stat(path.c_str(), &st) != 0 || st.st_dev != lower.st_dev) continue;
    bool is_lower_root = st.st_ino == lower.st_ino;
    bool is_lower_file = S_ISREG(st.st_mode) && st.st_size == 18;
    if (!is_lower_root && !is_lower_file) continue;
    ++met;
    if (is_lower_root) path += "/new";
    EXPECT_EQ(::open(path.c_str(), O_RDWR | (is_lower_root ? O_CREAT : 0), 0600), -1) << path;
    EXPECT_EQ(errno, EROFS) << path;
  }
  EXPECT_GE(met, 2);
}

// A mount point inside a lower, even our own, is an ordinary directory there.
TEST(LowerOfStack, DoesNotShowWhatIsMountedBelowIt) {
  Scratch scratch;
  for (const char* name : {"lower/sub", "lower/mnt", "upper", "work"}) MakeDirs(scratch / name);
  WriteFile(scratch / "lower/sub/under", "the lower's own");
  ASSERT_EQ(mount("tmpfs", (scratch / "lower/sub").c_str(), "tmpfs", 0, nullptr), 0);
  WriteFile(scratch / "lower/sub/over", "");
  std::string mnt = scratch / "lower/mnt";
  RunResult run =
      RunVeneerfs({"-o",
                   "lowerdir=" + (scratch / "lower") + ",upperdir=" + (scratch / "upper") +
                       ",workdir=" + (scratch / "work"),
                   mnt});
  EXPECT_EQ(run.status, 0) << run.error;
  EXPECT_EQ(ListDir(mnt + "/sub"), std::vector<std::string>{"under"});
  EXPECT_TRUE(ListDir(mnt + "/mnt").empty()) << "not the mount itself, without end";
  EXPECT_EQ(umount(mnt.c_str()), 0);
  EXPECT_EQ(umount((scratch / "lower/sub").c_str()), 0);
}

TEST_P(LowerOfMount, HasBirthTimesWhereTheHostHas) {
  WorkDir::Setup setup;
  setup.kind = GetParam();
  setup.populate = [](const std::string& dir) { WriteFile(dir + "/f", "lower"); };
  WorkDir work(setup);
  auto born = [&](const std::string& name, unsigned* mask) {
    struct statx stx = {};
    EXPECT_EQ(statx(AT_FDCWD, (work / name).c_str(), 0, STATX_BASIC_STATS | STATX_BTIME, &stx), 0);
    EXPECT_EQ(stx.stx_ino, Stat(work / name).st_ino);
    EXPECT_EQ(stx.stx_size, static_cast<uint64_t>(Stat(work / name).st_size));
    *mask = stx.stx_mask & STATX_BTIME;
    return stx.stx_btime.tv_sec;
  };
  unsigned known = 0;
  auto lower = born("f", &known);
  if (GetParam() == Kind::kStack) {
    struct statx host = {};
    ASSERT_EQ(statx(AT_FDCWD, (work.lower() + "/f").c_str(), 0, STATX_BTIME, &host), 0);
    EXPECT_NE(known, 0u);
    EXPECT_EQ(lower, host.stx_btime.tv_sec);
  } else {
    EXPECT_EQ(known, 0u);
  }
  time_t before = time(nullptr);
  WriteFile(work / "new", "12345");
  auto upper = born("new", &known);
  EXPECT_NE(known, 0u);
  EXPECT_GE(upper, before - 1);
  EXPECT_LE(upper, time(nullptr) + 1);
}

VENEER_OVER_MOUNTS(LowerOfMount);

}  // namespace
}  // namespace veneer::fs::testing
