// Many of everything: inodes under a small descriptor limit, names in a directory.
#include <dirent.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <vector>

#include "fs/open_overlay.h"
#include "fs/options.h"
#include "tests/conformance/conformance.h"
#include "tests/conformance/kernel_file_system.h"

namespace veneer::fs::conformance {
namespace {

using testing::Kind;
using testing::MakeDirs;
using testing::WorkDir;

// A mount of either kind over a lower in memory, for the sake of time.
class Scale : public ::testing::TestWithParam<Kind> {
 protected:
  void Mount(const std::function<void(const std::string& dir)>& populate, rlim_t descriptors = 0) {
    Make(populate, descriptors, true);
    fs_ = MakeKernelFileSystem(work_->path(), {});
  }
  void Make(const std::function<void(const std::string& dir)>& populate, rlim_t descriptors,
            bool mounted) {
    WorkDir::Setup setup;
    setup.mounted = mounted;
    setup.kind = GetParam();
    setup.populate = [&](const std::string& dir) {
      ASSERT_EQ(mount("tmpfs", dir.c_str(), "tmpfs", 0, "size=16g,nr_inodes=0"), 0);
      lower_ = dir;
      populate(dir);
    };
    setup.descriptors = descriptors;
    work_ = std::make_unique<WorkDir>(std::move(setup));
  }
  void TearDown() override {
    if (work_) work_->Unmount();
    EXPECT_EQ(umount2(lower_.c_str(), MNT_DETACH), 0);
  }
  static void MakeFiles(const std::string& dir, int count) {
    MakeDirs(dir);
    for (int i = 0; i < count; ++i) {
      ASSERT_EQ(mknod((dir + "/f" + std::to_string(i)).c_str(), S_IFREG | 0644, 0), 0);
    }
  }
  // Looks up every name in `dir`; how many there are.
  static int LookUpAll(const std::string& dir) {
    DIR* stream = opendir(dir.c_str());
    EXPECT_NE(stream, nullptr) << dir;
    if (stream == nullptr) return 0;
    int count = 0;
    while (const struct dirent* entry = readdir(stream)) {
      struct stat st = {};
      if (fstatat(dirfd(stream), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0) ++count;
    }
    closedir(stream);
    return count - 2;
  }
  static int DescriptorsOf(pid_t process) {
    auto open = std::filesystem::directory_iterator("/proc/" + std::to_string(process) + "/fd");
    return static_cast<int>(std::distance(begin(open), end(open)));
  }
  int DescriptorsOfDaemon() { return DescriptorsOf(work_->pid()); }
  WorkDir& work() { return *work_; }
  FileSystem& fs() { return *fs_; }

  void ManyInodes(int directories) {
    constexpr int kFiles = 1000;
    Mount(
        [&](const std::string& dir) {
          for (int i = 0; i < directories; ++i) MakeFiles(dir + "/d" + std::to_string(i), kFiles);
        },
        1024);
    for (int i = 0; i < directories; ++i) {
      ASSERT_EQ(LookUpAll(work() / ("d" + std::to_string(i))), kFiles);
    }
    EXPECT_GE(fs().Statistics()->lookups, static_cast<uint64_t>(directories * kFiles));
    EXPECT_LT(DescriptorsOfDaemon(), 1024);
    // And there are some left to work with.
    std::vector<UniqueFd> open;
    for (int i = 0; i < 400; ++i) {
      std::string name = "d" + std::to_string(i % directories) + "/f" + std::to_string(i);
      ASSERT_EQ(chmod((work() / name).c_str(), 0600), 0) << strerror(errno);
      open.push_back(testing::OpenFile(work() / name, O_RDWR));
      ASSERT_EQ(write(open.back().get(), "x", 1), 1);
    }
    EXPECT_LT(DescriptorsOfDaemon(), 1024);
  }

  // As a kernel that never forgets.
  void ManyInodesHeld(int directories) {
    constexpr int kFiles = 1000;
    struct rlimit limit = {};
    ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
    const struct rlimit low = {1024, limit.rlim_max};
    Make(
        [&](const std::string& dir) {
          for (int i = 0; i < directories; ++i) MakeFiles(dir + "/d" + std::to_string(i), kFiles);
        },
        0, false);
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &low), 0);
    const std::string args[] = {"-o", work().mount_options(), "unused"};
    auto overlay = OpenOverlay(*ParseOptions(args, true));
    ASSERT_TRUE(overlay) << overlay.error().Message();
    for (int i = 0; i < directories; ++i) {
      auto dir = (*overlay)->Lookup(NodeId::kRoot, "d" + std::to_string(i));
      ASSERT_TRUE(dir);
      for (int j = 0; j < kFiles; ++j) {
        auto file = (*overlay)->Lookup(dir->node, "f" + std::to_string(j));
        ASSERT_TRUE(file) << file.error().Message();
        if (j % 100 != 0) continue;
        AttrChange change;
        change.mode = 0600;
        ASSERT_TRUE((*overlay)->SetAttr(file->node, change));
      }
    }
    EXPECT_GE((*overlay)->Statistics().inodes, static_cast<uint64_t>(directories * kFiles));
    EXPECT_LT(DescriptorsOf(getpid()), 1024);
    EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
  }

  // How many different names a listing of `dir` has, and that it has none twice.
  static int ListAll(const std::string& dir) {
    std::vector<std::string> names = testing::ListDir(dir);
    EXPECT_EQ(std::adjacent_find(names.begin(), names.end()), names.end());
    return static_cast<int>(names.size());
  }

  void LargeDirectory(int names, int changes) {
    Mount([&](const std::string& dir) { MakeFiles(dir + "/large", names); });
    std::string large = work() / "large";
    EXPECT_EQ(ListAll(large), names);
    for (int i = 0; i < changes; ++i) {
      ASSERT_EQ(mknod((large + "/n" + std::to_string(i)).c_str(), S_IFREG | 0644, 0), 0);
      ASSERT_EQ(unlink((large + "/f" + std::to_string(2 * i)).c_str()), 0);
      ASSERT_EQ(rename((large + "/f" + std::to_string(2 * i + 1)).c_str(),
                       (large + "/r" + std::to_string(i)).c_str()),
                0);
    }
    EXPECT_EQ(ListAll(large), names);
    work().Remount();
    EXPECT_EQ(ListAll(large), names);
    EXPECT_TRUE(testing::Exists(large + "/r0"));
    EXPECT_FALSE(testing::Exists(large + "/f0"));
  }

 private:
  std::unique_ptr<WorkDir> work_;
  std::unique_ptr<FileSystem> fs_;
  std::string lower_;
};

TEST_P(Scale, FiftyThousandInodesUnderAThousandDescriptors) { ManyInodes(50); }
TEST_P(Scale, FiftyThousandInodesHeldByTheKernel) { ManyInodesHeld(50); }
TEST_P(Scale, AHundredThousandNamesInADirectory) { LargeDirectory(100'000, 200); }

INSTANTIATE_TEST_SUITE_P(Each, Scale, ::testing::Values(Kind::kStack, Kind::kChain),
                         testing::KindName);

using LongScale = Scale;

TEST_P(LongScale, AMillionInodesUnderAThousandDescriptors) { ManyInodes(1000); }
TEST_P(LongScale, AMillionInodesHeldByTheKernel) { ManyInodesHeld(1000); }
TEST_P(LongScale, AHundredThousandNamesOfWhichHalfChange) { LargeDirectory(100'000, 25'000); }

INSTANTIATE_TEST_SUITE_P(Long, LongScale, ::testing::Values(Kind::kStack, Kind::kChain),
                         testing::KindName);

}  // namespace
}  // namespace veneer::fs::conformance
