// Cached and passthrough opens: the state machine alone, and both modes on mounts with the same
// results.
#include "fs/open_mode.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <random>
#include <vector>

#include "fs/control.h"
#include "tests/fs/work_dir.h"

namespace veneer::fs::testing {
namespace {

constexpr NodeId kNode{7};

TEST(OpenModes, JoinsTheStateThatIs) {
  OpenModes modes;
  int next = 1;
  auto add = [&](int) { return next++; };
  EXPECT_EQ(modes.Open(kNode, false, false, -1, add).backing_id, 0);
  EXPECT_EQ(modes.Open(kNode, true, false, 5, add).backing_id, 0)
      << "cached while a cached handle is open";
  EXPECT_EQ(modes.Close(kNode, false, false).backing_id, 0);
  EXPECT_EQ(modes.Close(kNode, true, false).backing_id, 0);
  EXPECT_EQ(modes.Open(kNode, false, false, 5, add).backing_id, 1);
  EXPECT_EQ(modes.Open(kNode, false, false, -1, add).backing_id, 1) << "the same backing for all";
  EXPECT_EQ(modes.Close(kNode, false, true).backing_id, 0);
  EXPECT_EQ(modes.Close(kNode, false, true).backing_id, 1) << "given back by the last";
  EXPECT_EQ(next, 2);
}

TEST(OpenModes, DropsPagesThatPassthroughWritesMadeStale) {
  OpenModes modes;
  auto add = [](int) { return 3; };
  EXPECT_TRUE(modes.Open(kNode, true, false, 5, add).first_writer);
  EXPECT_TRUE(modes.ChangesUnseen(kNode));
  EXPECT_TRUE(modes.Close(kNode, true, true).last_writer);
  EXPECT_FALSE(modes.ChangesUnseen(kNode));
  auto fail = [](int) { return 0; };
  EXPECT_FALSE(modes.Open(kNode, false, false, 5, fail).keep_pages);
  EXPECT_TRUE(modes.Open(kNode, false, false, -1, fail).keep_pages);
}

// What the kernel knows of a file that was made open is known to be short-lived from the start.
TEST(OpenModes, AttributesOfANewFileAreNotDroppedTwice) {
  OpenModes modes;
  auto add = [](int) { return 3; };
  EXPECT_FALSE(modes.Open(kNode, true, true, 5, add).first_writer);
  EXPECT_TRUE(modes.ChangesUnseen(kNode));
  EXPECT_FALSE(modes.Open(kNode, true, false, 5, add).first_writer);
  EXPECT_FALSE(modes.Close(kNode, true, true).last_writer);
  EXPECT_FALSE(modes.Close(kNode, true, true).last_writer);
  EXPECT_TRUE(modes.Open(kNode, true, false, 5, add).first_writer) << "known by now";
  EXPECT_TRUE(modes.Close(kNode, true, true).last_writer);
}

TEST(OpenModes, NextModeJoinsWhatIsOpen) {
  using enum fs::OpenMode;
  for (bool data_is_final : {false, true}) {
    EXPECT_EQ(NextMode(kCached, data_is_final), kCached);
    EXPECT_EQ(NextMode(kPassthrough, data_is_final), kPassthrough);
  }
  EXPECT_EQ(NextMode(kIdle, true), kPassthrough);
  EXPECT_EQ(NextMode(kIdle, false), kCached);
}

// What the kernel asks of a file's handles, over a long random life of one node.
TEST(OpenModes, KeepsTheKernelsRulesWhateverIsOpened) {
  std::mt19937 random(20);
  OpenModes modes;
  struct Open {
    bool writable;
    int backing;
  };
  std::vector<Open> open;
  int next = 1;
  bool cached_pages_stale = false;
  for (int step = 0; step < 20'000; ++step) {
    bool writable = random() % 2 == 0;
    if (open.size() < 6 && random() % 2 == 0) {
      int fd = random() % 3 == 0 ? -1 : 5;
      bool works = random() % 8 != 0;
      OpenModes::Opened opened =
          modes.Open(kNode, writable, false, fd, [&](int) { return works ? next++ : 0; });
      for (const Open& other : open) EXPECT_EQ(other.backing, opened.backing_id);
      if (opened.backing_id > 0 && writable) {
        cached_pages_stale = true;
      } else if (opened.backing_id == 0) {
        EXPECT_EQ(opened.keep_pages, !cached_pages_stale);
        cached_pages_stale = false;
      }
      open.push_back({writable, opened.backing_id});
    } else if (!open.empty()) {
      size_t at = random() % open.size();
      Open gone = open[at];
      open.erase(open.begin() + static_cast<ptrdiff_t>(at));
      OpenModes::Closed closed = modes.Close(kNode, gone.writable, gone.backing > 0);
      EXPECT_EQ(closed.backing_id, open.empty() ? gone.backing : 0);
    }
    bool unseen = std::any_of(open.begin(), open.end(),
                              [](const Open& o) { return o.writable && o.backing > 0; });
    EXPECT_EQ(modes.ChangesUnseen(kNode), unseen);
  }
  EXPECT_EQ(modes.violations(), 0u);
}

TEST(OpenModes, TheInvariantSeesWhatMustNotBe) {
  OpenModes::State state;
  EXPECT_TRUE(state.Sound());
  state.handles = 1;
  EXPECT_FALSE(state.Sound()) << "idle with a handle";
  state.mode = fs::OpenMode::kPassthrough;
  EXPECT_FALSE(state.Sound()) << "passthrough to nothing";
  state.backing_id = 3;
  EXPECT_TRUE(state.Sound());
  state.mode = fs::OpenMode::kCached;
  EXPECT_FALSE(state.Sound()) << "cached with a backing file registered";
  state.backing_id = 0;
  state.stale_pages = true;
  EXPECT_FALSE(state.Sound()) << "cached over pages that are out of date";
  OpenModes modes;
  modes.Close(kNode, false, true);
  EXPECT_EQ(modes.violations(), 1u) << "a close without its open";
}

class OpenMode : public ::testing::TestWithParam<std::tuple<Kind, bool>> {
 protected:
  static void Populate(const std::string& dir) { WriteFile(dir + "/f", std::string(20000, 'a')); }
  static control::Stats StatsOf(const WorkDir& work) {
    UniqueFd root = OpenFile(work.path(), O_RDONLY | O_DIRECTORY);
    control::Stats stats = {};
    EXPECT_EQ(ioctl(root.get(), control::kStats, &stats), 0);
    return stats;
  }
  static uint64_t Passed(const WorkDir& work) { return StatsOf(work).passthrough; }

  // close(2) does not wait for the daemon: until it has let go of a cached handle, the next open is
  // cached too.
  static void AwaitHandles(const WorkDir& work, uint64_t wanted) {
    for (int i = 0; i < 1000 && StatsOf(work).handles != wanted; ++i) usleep(10'000);
    EXPECT_EQ(StatsOf(work).handles, wanted);
  }
  WorkDir::Setup SetupOf(bool read_only) {
    auto [kind, passthrough] = GetParam();
    WorkDir::Setup setup;
    setup.kind = kind;
    setup.populate = Populate;
    setup.read_only = read_only;
    if (!passthrough) setup.arguments = {"--no-passthrough"};
    return setup;
  }
};

TEST_P(OpenMode, WritingThroughEveryMixOfHandles) {
  WorkDir work(SetupOf(false));
  const uint64_t none_open = StatsOf(work).handles;
  std::string f = work / "f";
  UniqueFd cached = OpenFile(f, O_RDONLY);  // while the data is in the lower
  EXPECT_EQ(ReadFd(cached.get())[0], 'a');
  AppendFile(f, "1");
  UniqueFd again = OpenFile(f, O_RDWR);
  ASSERT_EQ(pwrite(again.get(), "B", 1, 0), 1);
  EXPECT_EQ(ReadFd(cached.get())[0], 'B');
  ASSERT_EQ(fsync(again.get()), 0);  // until the copy is durable, it is not passed through
  cached.Reset();
  again.Reset();
  AwaitHandles(work, none_open);
  UniqueFd first = OpenFile(f, O_RDWR);  // from here on passthrough, where that is on
  UniqueFd second = OpenFile(f, O_RDONLY);
  ASSERT_EQ(pwrite(first.get(), "C", 1, 1), 1);
  EXPECT_EQ(ReadFd(second.get()).substr(0, 3), "BCa");
  EXPECT_EQ(Stat(f).st_size, 20001);
  auto* map =
      static_cast<char*>(mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, first.get(), 0));
  ASSERT_NE(map, MAP_FAILED);
  struct timespec old[2] = {{1000, 0}, {1000, 0}};
  ASSERT_EQ(futimens(first.get(), old), 0);
  map[2] = 'D';
  ASSERT_EQ(msync(map, 4096, MS_SYNC), 0);
  EXPECT_EQ(ReadFd(second.get()).substr(0, 4), "BCDa");
  EXPECT_GT(Stat(f).st_mtim.tv_sec, 1000) << "a mapped write changes the time";
  munmap(map, 4096);
  AppendFile(f, "end");
  EXPECT_EQ(Stat(f).st_size, 20004);
  ASSERT_EQ(ftruncate(first.get(), 10), 0);
  EXPECT_EQ(ReadFd(second.get()), "BCDaaaaaaa");
  EXPECT_EQ(Passed(work) > 0, std::get<1>(GetParam()));
  first.Reset();
  second.Reset();
  work.Remount();
  EXPECT_EQ(ReadFile(f), "BCDaaaaaaa");
}

TEST_P(OpenMode, NewFilesArePassedThroughFromTheStart) {
  WorkDir work(SetupOf(false));
  UniqueFd file = OpenFile(work / "new", O_WRONLY | O_CREAT | O_EXCL);
  EXPECT_EQ(Passed(work) > 0, std::get<1>(GetParam()));
  ASSERT_EQ(fchmod(file.get(), 0600), 0);
  ASSERT_EQ(write(file.get(), "content", 7), 7);
  EXPECT_EQ(Stat(work / "new").st_size, 7);
  EXPECT_EQ(ReadFile(work / "new"), "content");
}

// The mapping outlives what it came from.
TEST_P(OpenMode, AMappingOfANewFileChangesItsTimesAfterItIsClosed) {
  WorkDir work(SetupOf(false));
  UniqueFd file = OpenFile(work / "new", O_RDWR | O_CREAT | O_EXCL);
  ASSERT_EQ(ftruncate(file.get(), 4096), 0);
  void* map = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
  ASSERT_NE(map, MAP_FAILED);
  struct timespec old[2] = {{1000, 0}, {1000, 0}};
  ASSERT_EQ(futimens(file.get(), old), 0);
  file.Reset();
  EXPECT_EQ(Stat(work / "new").st_mtim.tv_sec, 1000);
  static_cast<char*>(map)[0] = 'x';
  ASSERT_EQ(msync(map, 4096, MS_SYNC), 0);
  EXPECT_GT(Stat(work / "new").st_mtim.tv_sec, 1000);
  munmap(map, 4096);
}

TEST_P(OpenMode, ReadOnlyMount) {
  WorkDir work(SetupOf(true));
  EXPECT_EQ(ReadFile(work / "f"), std::string(20000, 'a'));
  UniqueFd fd = OpenFile(work / "f", O_RDONLY);
  auto* map = static_cast<const char*>(mmap(nullptr, 4096, PROT_READ, MAP_SHARED, fd.get(), 0));
  ASSERT_NE(map, MAP_FAILED);
  EXPECT_EQ(map[100], 'a');
  munmap(const_cast<char*>(map), 4096);
  EXPECT_EQ(open((work / "f").c_str(), O_RDWR | O_CLOEXEC), -1);
  EXPECT_EQ(errno, EROFS);
  EXPECT_EQ(Passed(work) > 0, std::get<1>(GetParam()));
}

std::string ModeName(const ::testing::TestParamInfo<std::tuple<Kind, bool>>& test) {
  auto [kind, passthrough] = test.param;
  return std::string(kind == Kind::kStack ? "Stack" : "Chain") +
         (passthrough ? "Passthrough" : "Cached");
}

INSTANTIATE_TEST_SUITE_P(Each, OpenMode,
                         ::testing::Combine(::testing::Values(Kind::kStack, Kind::kChain),
                                            ::testing::Bool()),
                         ModeName);

}  // namespace
}  // namespace veneer::fs::testing
