// FUSE-over-io_uring and /dev/fuse: the same results, and nobody waits for what others wait for.
#include <fcntl.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "fs/control.h"
#include "fs/host_namespace.h"
#include "tests/fs/work_dir.h"

namespace veneer::fs::testing {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

constexpr const char* kSwitch = "/sys/module/fuse/parameters/enable_uring";

class Uring : public ::testing::TestWithParam<std::tuple<Kind, bool>> {
 protected:
  static bool uring() { return std::get<1>(GetParam()); }
  void SetUp() override {
    char on = 'N';
    std::ifstream(kSwitch) >> on;
    ASSERT_EQ(on, 'Y') << kSwitch << " must be Y: scripts/test sees to it (Linux 6.14, as root)";
    Mount({});
  }
  void Mount(std::vector<std::string> arguments) {
    work_.reset();
    WorkDir::Setup setup;
    setup.kind = std::get<0>(GetParam());
    setup.populate = [](const std::string& dir) {
      WriteFile(dir + "/f", std::string(100'000, 'f'));
      for (int i = 0; i < kFiles; ++i) WriteFile(dir + "/w" + std::to_string(i), "");
      for (int i = 0; i < 32; ++i) WriteFile(dir + "/slow" + std::to_string(i), "data");
    };
    if (!uring()) arguments.emplace_back("--no-uring");
    setup.arguments = std::move(arguments);
    work_ = std::make_unique<WorkDir>(setup);
  }
  void TearDown() override { work_.reset(); }
  WorkDir& work() { return *work_; }
  std::string At(const std::string& name) { return *work_ / name; }
  std::string Numbered(const char* name, int i) { return At(name + std::to_string(i)); }
  control::Stats Stats() {
    UniqueFd root = OpenFile(work().path(), O_RDONLY | O_DIRECTORY);
    control::Stats stats = {};
    EXPECT_EQ(ioctl(root.get(), control::kStats, &stats), 0);
    return stats;
  }
  // What is asked on a CPU is answered by that CPU's ring.
  template <typename Body>
  static void OnEachCpu(Body body) {
    std::thread([&] {
      for (long cpu = 0; cpu < sysconf(_SC_NPROCESSORS_ONLN); ++cpu) {
        cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET(static_cast<size_t>(cpu), &one);
        ASSERT_EQ(sched_setaffinity(0, sizeof one, &one), 0);
        body(cpu);
      }
    }).join();
  }

  static constexpr int kFiles = 400;

 private:
  std::unique_ptr<WorkDir> work_;
};

TEST_P(Uring, IsUsedWhenTheKernelHasItAndNotSwitchedOff) {
  OnEachCpu([&](long) { EXPECT_EQ(ReadFile(At("f")).size(), 100'000u); });
  uint64_t rings = Stats().rings;
  EXPECT_EQ(rings, uring() ? static_cast<uint64_t>(sysconf(_SC_NPROCESSORS_ONLN)) : 0u);
}

TEST_P(Uring, ReadsWhatIsNotInThePageCache) {
  std::string content(3 << 20, 'x');
  for (size_t i = 0; i < content.size(); ++i) content[i] = static_cast<char>(i * 2654435761u >> 16);
  WriteFile(At("new"), content);
  sync();
  std::ofstream("/proc/sys/vm/drop_caches") << "3";
  EXPECT_EQ(ReadFile(At("new")), content);
  EXPECT_EQ(ReadFile(At("f")), std::string(100'000, 'f'));
}

// Slow copy-ups, some of one file, on every CPU: what others ask there is answered meanwhile.
TEST_P(Uring, CopyUpsHoldUpNobodyElse) {
  work().Unmount();
  work().Mount("copy_up.before_data=delay:2000");
  auto begin = Clock::now();
  std::atomic<int> done{0};
  std::vector<std::thread> writers;
  int many = static_cast<int>(4 * sysconf(_SC_NPROCESSORS_ONLN));
  for (int i = 0; i < std::min(many, 32); ++i) {
    writers.emplace_back([&, i] {
      AppendFile(Numbered("slow", i % 3 == 0 ? 0 : i), "+");
      ++done;
    });
  }
  std::this_thread::sleep_for(milliseconds(300));
  OnEachCpu([&](long cpu) {
    EXPECT_EQ(ReadFile(Numbered("slow", static_cast<int>(cpu))), "data");
    EXPECT_FALSE(Exists(At("missing")));
    EXPECT_FALSE(ListDir(work().path()).empty());
    WriteFile(Numbered("new", static_cast<int>(cpu)), "new");
  });
  EXPECT_EQ(done, 0);
  EXPECT_LT(Clock::now() - begin, milliseconds(1900));
  for (std::thread& writer : writers) writer.join();
  EXPECT_EQ(ReadFile(Numbered("slow", 1)), "data+");
}

// More changes than the daemon may have threads, or buffers.
TEST_P(Uring, FreezeLeavesRoomForEverythingElse) {
  auto name = [&](int i) { return Numbered("w", i); };
  for (int i = 0; i < kFiles; ++i) AppendFile(name(i), "");
  UniqueFd root = OpenFile(work().path(), O_RDONLY | O_DIRECTORY);
  control::Freeze freeze = {.timeout_ms = 20'000, .reserved = 0};
  ASSERT_EQ(ioctl(root.get(), control::kFreeze, &freeze), 0);
  auto begin = Clock::now();
  std::atomic<int> done{0};
  std::vector<std::thread> writers;
  writers.reserve(kFiles);
  for (int i = 0; i < kFiles; ++i) {
    writers.emplace_back([&, i] {
      EXPECT_EQ(chmod(name(i).c_str(), 0600), 0) << strerror(errno);
      AppendFile(name(i), name(i));
      EXPECT_EQ(setxattr(name(i).c_str(), "user.x", "value", 5, 0), 0) << strerror(errno);
      ++done;
    });
  }
  std::this_thread::sleep_for(milliseconds(300));
  EXPECT_EQ(ReadFile(At("f")).size(), 100'000u);
  EXPECT_FALSE(Exists(At("missing")));
  if (!uring()) {
    EXPECT_EQ(done, 0);
    EXPECT_EQ(ioctl(root.get(), control::kThaw), 0);
  } else {  // buffers are few: it has thawed by itself, and says so
    EXPECT_EQ(ioctl(root.get(), control::kThaw), -1);
    EXPECT_EQ(errno, EINVAL);
  }
  for (std::thread& writer : writers) writer.join();
  EXPECT_LT(Clock::now() - begin, std::chrono::seconds(15));
  for (int i = 0; i < kFiles; ++i) {
    EXPECT_EQ(ReadFile(name(i)), name(i));
    EXPECT_EQ(Stat(name(i)).st_mode & 07777, 0600u);
    EXPECT_EQ(Xattr(name(i), "user.x"), "value");
  }
}

// Writing pages back takes threads and buffers, which those who wait for it must not all have.
TEST_P(Uring, ManyThatWaitForPagesToBeWrittenLeaveRoomForThese) {
  Mount({"--no-passthrough"});
  constexpr int kMany = 300;
  constexpr off_t kHole = 8192;
  struct Mapped {
    UniqueFd fd;
    UniqueFd copy;
    char* page = nullptr;
  };
  std::vector<Mapped> files(kMany);
  for (int i = 0; i < kMany; ++i) {
    files[i].fd = OpenFile(Numbered("mapped", i), O_RDWR | O_CREAT);
    ASSERT_EQ(ftruncate(files[i].fd.get(), 2 * kHole), 0);
    void* map = mmap(nullptr, 2 * kHole, PROT_READ | PROT_WRITE, MAP_SHARED, files[i].fd.get(), 0);
    ASSERT_NE(map, MAP_FAILED);
    files[i].page = static_cast<char*>(map) + kHole;
    memcpy(files[i].page, "data", 4);
    if (i % 3 == 2) files[i].copy = OpenFile(Numbered("copy", i), O_RDWR | O_CREAT);
  }
  UniqueFd root = OpenFile(work().path(), O_RDONLY | O_DIRECTORY);
  control::Freeze freeze = {.timeout_ms = 30'000, .reserved = 0};
  ASSERT_EQ(ioctl(root.get(), control::kFreeze, &freeze), 0);
  auto begin = Clock::now();
  std::vector<std::thread> threads;
  threads.reserve(kMany);
  for (int i = 0; i < kMany; ++i) {
    threads.emplace_back([&, i] {
      cpu_set_t one;
      CPU_ZERO(&one);
      CPU_SET(0, &one);
      ASSERT_EQ(sched_setaffinity(0, sizeof one, &one), 0);
      if (i % 3 == 2) {
        off_t from = kHole;
        EXPECT_EQ(copy_file_range(files[i].fd.get(), &from, files[i].copy.get(), nullptr, 4, 0), 4);
        EXPECT_EQ(ReadFd(files[i].copy.get()), "data");
      } else if (i % 10 == 0) {
        UniqueFd dir = OpenFile(work().path(), O_RDONLY | O_DIRECTORY);
        EXPECT_TRUE(ioctl(dir.get(), control::kSync) == 0 || errno == EAGAIN) << strerror(errno);
      } else {
        off_t found = lseek(files[i].fd.get(), 0, SEEK_DATA);
        EXPECT_TRUE(found >= 0 && found <= kHole) << found;  // not passed over
      }
    });
  }
  std::thread([&] {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(0, &one);
    ASSERT_EQ(sched_setaffinity(0, sizeof one, &one), 0);
    std::this_thread::sleep_for(milliseconds(500));
    EXPECT_FALSE(Exists(At("missing")));
    EXPECT_TRUE(ioctl(root.get(), control::kThaw) == 0 || errno == EINVAL) << strerror(errno);
  }).join();
  for (std::thread& thread : threads) thread.join();
  EXPECT_LT(Clock::now() - begin, std::chrono::seconds(20));
  for (Mapped& file : files) munmap(file.page - kHole, 2 * kHole);
}

// The threads of /dev/fuse are libfuse's business.
class RingsAlone : public Uring {};

// Where no thread can be started, nobody can be let to wait for a thaw.
TEST_P(RingsAlone, ThawIsServedAtTheLimitOfThreads) {
  for (int i = 0; i < 40; ++i) AppendFile(Numbered("w", i), "");
  UniqueFd root = OpenFile(work().path(), O_RDONLY | O_DIRECTORY);
  control::Freeze freeze = {.timeout_ms = 30'000, .reserved = 0};
  ASSERT_EQ(ioctl(root.get(), control::kFreeze, &freeze), 0);
  // A thread's stack is memory that the daemon cannot get any more.
  std::ifstream statm("/proc/" + std::to_string(work().pid()) + "/statm");
  rlim_t pages = 0;
  statm >> pages;
  struct rlimit limit = {};
  ASSERT_EQ(prlimit(work().pid(), RLIMIT_AS, nullptr, &limit), 0);
  const struct rlimit low = {(pages << 12) + (2 << 20), limit.rlim_max};
  ASSERT_EQ(prlimit(work().pid(), RLIMIT_AS, &low, nullptr), 0);
  auto begin = Clock::now();
  std::vector<std::thread> writers;
  writers.reserve(5);
  for (int i = 0; i < 5; ++i) {
    writers.emplace_back(
        [&, i] { EXPECT_EQ(chmod(Numbered("w", i).c_str(), 0600), 0) << strerror(errno); });
  }
  std::this_thread::sleep_for(milliseconds(300));
  EXPECT_TRUE(ioctl(root.get(), control::kThaw) == 0 || errno == EINVAL) << strerror(errno);
  for (std::thread& writer : writers) writer.join();
  EXPECT_LT(Clock::now() - begin, std::chrono::seconds(15));
  EXPECT_EQ(prlimit(work().pid(), RLIMIT_AS, &limit, nullptr), 0);
}

// The first such open after a file's data has come makes its marker's removal durable.
TEST_P(Uring, OpensThatSyncHoldUpNobodyElse) {
  work().Unmount();
  work().Mount("fsync.before_sync=delay:2000");
  ASSERT_EQ(chmod(At("slow0").c_str(), 0600), 0);
  AppendFile(At("slow0"), "+");
  OnEachCpu([&](long) {  // the one that both share
    auto begin = Clock::now();
    std::thread opens([&] { OpenFile(At("slow0"), O_WRONLY | O_DSYNC); });
    std::this_thread::sleep_for(milliseconds(200));
    EXPECT_FALSE(Exists(At("missing")));
    EXPECT_EQ(ReadFile(At("slow1")), "data");
    EXPECT_LT(Clock::now() - begin, milliseconds(1500));
    opens.join();
  });
}

// A namespace that is killed with its daemon would hang, so veneerfs must know where it is.
TEST(UringInNamespaces, IsUsedByItselfOnlyInTheHostsOwn) {
  WorkDir::Setup setup;
  setup.kind = Kind::kStack;
  setup.host_rules = true;
  auto rings = [&] {
    WorkDir work(setup);
    WriteFile(work / "f", "f");
    UniqueFd root = OpenFile(work.path(), O_RDONLY | O_DIRECTORY);
    control::Stats stats = {};
    EXPECT_EQ(ioctl(root.get(), control::kStats, &stats), 0);
    return stats.rings;
  };
  EXPECT_FALSE(IsHostsMountNamespace());
  EXPECT_EQ(rings(), 0u);
  setup.host_rules = false;  // WorkDir then asks for them
  EXPECT_GT(rings(), 0u);
  // And in the one that the tests were started in, seen through the daemon's root.
  setup.host_rules = true;
  setup.mounted = false;
  WorkDir work(setup);
  const std::string space =
      "/proc/" + std::to_string(getpid()) + "/fd/" + std::to_string(MountNamespaceOutside());
  const std::string enter = "nsenter --mount=" + space + " ";
  ASSERT_EQ(
      std::system(
          (enter + VENEER_BIN "/veneerfs -o " + work.mount_options() + " " + work.path()).c_str()),
      0);
  control::Stats stats = {};
  {
    std::string pid = ReadFile(work.work() + "/lock");
    UniqueFd root = OpenFile("/proc/" + std::to_string(std::stoi(pid)) + "/root" + work.path(),
                             O_RDONLY | O_DIRECTORY);
    EXPECT_EQ(ioctl(root.get(), control::kStats, &stats), 0);
  }
  EXPECT_EQ(stats.rings > 0, IsHostsMountNamespace(space));
  EXPECT_EQ(std::system((enter + "umount " + work.path()).c_str()), 0);
  for (int i = 0; i < 400 && Exists(work.work() + "/lock"); ++i) usleep(5000);
}

std::string ModeName(const ::testing::TestParamInfo<std::tuple<Kind, bool>>& each) {
  return KindName({std::get<0>(each.param), 0}) + (std::get<1>(each.param) ? "Uring" : "DevFuse");
}
INSTANTIATE_TEST_SUITE_P(Each, Uring,
                         ::testing::Combine(::testing::Values(Kind::kStack, Kind::kChain),
                                            ::testing::Bool()),
                         ModeName);
INSTANTIATE_TEST_SUITE_P(Each, RingsAlone,
                         ::testing::Combine(::testing::Values(Kind::kStack, Kind::kChain),
                                            ::testing::Values(true)),
                         ModeName);

}  // namespace
}  // namespace veneer::fs::testing
