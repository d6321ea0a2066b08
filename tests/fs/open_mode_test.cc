// Cached and passthrough opens: the state machine alone, and both modes on mounts with the same
// results.
#include "fs/open_mode.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "fs/control.h"
#include "tests/fs/work_dir.h"

namespace veneer::fs::testing {
namespace {

constexpr NodeId kNode{7};
const OpenModes::Data kFinal{.final_fd = 5};
const OpenModes::Data kSharedData{.share = [] { return 6; }};
using enum Access;

TEST(OpenModes, JoinsTheStateThatIs) {
  OpenModes modes;
  int next = 1;
  auto add = [&](int) { return next++; };
  EXPECT_EQ(modes.Open(kNode, kRead, false, {}, add).backing_id, 0);
  EXPECT_EQ(modes.Open(kNode, kWrite, false, kFinal, add).backing_id, 0)
      << "cached while a cached handle is open";
  EXPECT_EQ(modes.Close(kNode, kRead, false).backing_id, 0);
  EXPECT_EQ(modes.Close(kNode, kWrite, false).backing_id, 0);
  EXPECT_EQ(modes.Open(kNode, kRead, false, kFinal, add).backing_id, 1);
  EXPECT_EQ(modes.Open(kNode, kRead, false, {}, add).backing_id, 1) << "the same backing for all";
  EXPECT_EQ(modes.Close(kNode, kRead, true).backing_id, 0);
  EXPECT_EQ(modes.Close(kNode, kRead, true).backing_id, 1) << "given back by the last";
  EXPECT_EQ(next, 2);
}

TEST(OpenModes, DropsPagesThatPassthroughWritesMadeStale) {
  for (Access access : {kWrite, kMapToWrite}) {
    OpenModes modes;
    auto add = [](int) { return 3; };
    modes.Open(kNode, access, false, kFinal, add);
    modes.Close(kNode, access, true);
    auto fail = [](int) { return 0; };
    EXPECT_FALSE(modes.Open(kNode, kRead, false, kFinal, fail).keep_pages);
    EXPECT_TRUE(modes.Open(kNode, kRead, false, {}, fail).keep_pages);
  }
}

TEST(OpenModes, AttributesAreNotKeptWhileAPassthroughHandleMayBeMapped) {
  OpenModes modes;
  auto add = [](int) { return 3; };
  EXPECT_FALSE(modes.Open(kNode, kWrite, false, kFinal, add).drop_attributes);
  EXPECT_FALSE(modes.ChangesUnseen(kNode));
  EXPECT_TRUE(modes.Open(kNode, kMapToWrite, false, kFinal, add).drop_attributes);
  EXPECT_FALSE(modes.Open(kNode, kMapToWrite, false, kFinal, add).drop_attributes)
      << "nothing is kept";
  EXPECT_TRUE(modes.ChangesUnseen(kNode));
  EXPECT_FALSE(modes.Tell(kNode));
  EXPECT_FALSE(modes.Close(kNode, kMapToWrite, true).drop_attributes);
  EXPECT_TRUE(modes.ChangesUnseen(kNode));
  EXPECT_TRUE(modes.Close(kNode, kMapToWrite, true).drop_attributes);
  EXPECT_FALSE(modes.ChangesUnseen(kNode)) << "writes alone are seen";
  EXPECT_FALSE(modes.Close(kNode, kWrite, true).drop_attributes);
  EXPECT_EQ(modes.violations(), 0u);
}

TEST(OpenModes, AttributesToldWhileAWriterIsThereAreDroppedAtTheEnd) {
  for (int final_fd : {-1, 5}) {
    const bool passes = final_fd > 0;
    OpenModes modes;
    auto add = [](int) { return 3; };
    EXPECT_TRUE(modes.Tell(kNode));
    EXPECT_FALSE(modes.Open(kNode, kRead, false, {.final_fd = final_fd}, add).drop_attributes);
    EXPECT_TRUE(modes.Tell(kNode)) << "while nobody writes they are true";
    EXPECT_FALSE(modes.Open(kNode, kWrite, false, {.final_fd = final_fd}, add).drop_attributes);
    EXPECT_FALSE(modes.Open(kNode, kWrite, false, {.final_fd = final_fd}, add).drop_attributes);
    EXPECT_FALSE(modes.Close(kNode, kWrite, passes).drop_attributes);
    EXPECT_FALSE(modes.Close(kNode, kWrite, passes).drop_attributes) << "nothing was told";
    EXPECT_FALSE(modes.Open(kNode, kWrite, false, {.final_fd = final_fd}, add).drop_attributes);
    EXPECT_FALSE(modes.Open(kNode, kWrite, false, {.final_fd = final_fd}, add).drop_attributes);
    EXPECT_TRUE(modes.Tell(kNode));
    EXPECT_FALSE(modes.Close(kNode, kWrite, passes).drop_attributes) << "another still writes";
    EXPECT_TRUE(modes.Close(kNode, kWrite, passes).drop_attributes);
    EXPECT_FALSE(modes.Close(kNode, kRead, passes).drop_attributes) << "once";
    EXPECT_EQ(modes.violations(), 0u);
  }
}

// Mappings of cached files change pages of the kernel's own.
TEST(OpenModes, AttributesAreKeptWhileACachedHandleMayBeMapped) {
  OpenModes modes;
  auto add = [](int) { return 3; };
  EXPECT_FALSE(modes.Open(kNode, kMapToWrite, false, {}, add).drop_attributes);
  EXPECT_FALSE(modes.ChangesUnseen(kNode));
  EXPECT_TRUE(modes.Tell(kNode));
  EXPECT_TRUE(modes.Close(kNode, kMapToWrite, false).drop_attributes);
}

// What the kernel is told of a file that is made is what it begins with.
TEST(OpenModes, AttributesOfANewFileAreNotDropped) {
  OpenModes modes;
  auto add = [](int) { return 3; };
  for (Access access : {kWrite, kMapToWrite}) {
    EXPECT_FALSE(modes.Open(kNode, access, true, kFinal, add).drop_attributes);
    EXPECT_EQ(modes.ChangesUnseen(kNode), access == kMapToWrite);
    EXPECT_FALSE(modes.Close(kNode, access, true).drop_attributes);
  }
}

TEST(OpenModes, NextModeJoinsWhatIsOpen) {
  using enum fs::OpenMode;
  for (bool data_is_final : {false, true}) {
    EXPECT_EQ(NextMode(kCached, data_is_final), kCached);
    EXPECT_EQ(NextMode(kPassthrough, data_is_final), kPassthrough);
    EXPECT_EQ(NextMode(kShared, data_is_final), kShared);
  }
  EXPECT_EQ(NextMode(kIdle, true), kPassthrough);
  EXPECT_EQ(NextMode(kIdle, false), kCached);
  EXPECT_EQ(NextMode(kIdle, false, true), kShared);
}

TEST(OpenModes, WhoChangesAndWhoSharesKeepEachOtherOut) {
  OpenModes modes;
  std::vector<int> added;
  auto add = [&](int fd) {
    added.push_back(fd);
    return static_cast<int>(added.size());
  };
  EXPECT_EQ(modes.Open(kNode, kRead, false, kSharedData, add).backing_id, 1);
  EXPECT_EQ(modes.Open(kNode, kRead, false, kFinal, add).backing_id, 1) << "one for all";
  EXPECT_FALSE(OpenModes::Changing(modes, kNode).held());
  EXPECT_EQ(modes.Close(kNode, kRead, true).backing_id, 0);
  EXPECT_EQ(modes.Close(kNode, kRead, true).backing_id, 1);
  {
    OpenModes::Changing one(modes, kNode);
    OpenModes::Changing two(modes, kNode);
    EXPECT_TRUE(one.held() && two.held());
    EXPECT_EQ(modes.Open(kNode, kRead, false, kSharedData, add).backing_id, 0)
        << "while somebody is about to write";
    modes.Forget(kNode);
    modes.Close(kNode, kRead, false);
  }
  EXPECT_EQ(modes.Open(kNode, kRead, false, kSharedData, add).backing_id, 2);
  EXPECT_EQ(modes.Close(kNode, kRead, true).backing_id, 2);
  EXPECT_EQ(added, (std::vector{6, 6}));
  EXPECT_EQ(modes.violations(), 0u);
}

// What the kernel asks of a file's handles, over a long random life of one node.
TEST(OpenModes, KeepsTheKernelsRulesWhateverIsOpened) {
  std::mt19937 random(20);
  OpenModes modes;
  struct Open {
    Access access;
    int backing;
  };
  std::vector<Open> open;
  int next = 1;
  bool cached_pages_stale = false;
  bool told = false;  // kept by the kernel, and a writer was there
  for (int step = 0; step < 20'000; ++step) {
    auto access = static_cast<Access>(random() % 3);
    if (open.size() < 6 && random() % 2 == 0) {
      int fd = random() % 3 == 0 ? -1 : 5;
      bool works = random() % 8 != 0;
      OpenModes::Opened opened = modes.Open(kNode, access, false, {.final_fd = fd},
                                            [&](int) { return works ? next++ : 0; });
      for (const Open& other : open) EXPECT_EQ(other.backing, opened.backing_id);
      if (opened.drop_attributes) told = true;  // it comes too late for an answer under way
      if (opened.backing_id > 0 && access != kRead) {
        cached_pages_stale = true;
      } else if (opened.backing_id == 0) {
        EXPECT_EQ(opened.keep_pages, !cached_pages_stale);
        cached_pages_stale = false;
      }
      open.push_back({access, opened.backing_id});
    } else if (!open.empty()) {
      size_t at = random() % open.size();
      Open gone = open[at];
      open.erase(open.begin() + static_cast<ptrdiff_t>(at));
      OpenModes::Closed closed = modes.Close(kNode, gone.access, gone.backing > 0);
      EXPECT_EQ(closed.backing_id, open.empty() ? gone.backing : 0);
      bool writers =
          std::any_of(open.begin(), open.end(), [](const Open& o) { return o.access != kRead; });
      if (!writers) {
        EXPECT_EQ(closed.drop_attributes, told);
      }
      if (closed.drop_attributes || !writers) told = false;
    }
    bool unseen = std::any_of(open.begin(), open.end(), [](const Open& o) {
      return o.access == kMapToWrite && o.backing > 0;
    });
    EXPECT_EQ(modes.ChangesUnseen(kNode), unseen);
    if (random() % 4 == 0) {
      EXPECT_EQ(modes.Tell(kNode), !unseen);
      if (!unseen &&
          std::any_of(open.begin(), open.end(), [](const Open& o) { return o.access != kRead; })) {
        told = true;
      }
    }
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
  state.stale_pages = false;
  EXPECT_TRUE(state.Sound());
  state.mappers = 1;
  EXPECT_FALSE(state.Sound()) << "mapped to write by a reader";
  state.mappers = 0;
  state.told = true;
  EXPECT_FALSE(state.Sound()) << "to be dropped by nobody";
  state.writers = 1;
  EXPECT_TRUE(state.Sound());
  state.backing_id = 3;
  state.mode = fs::OpenMode::kShared;
  state.told = false;
  EXPECT_FALSE(state.Sound()) << "written, and shared";
  state.writers = 0;
  EXPECT_TRUE(state.Sound());
  state.changers = 1;
  EXPECT_FALSE(state.Sound()) << "about to be written, and shared";
  state.changers = 0;
  state.backing_id = 0;
  state.writers = 1;
  state.handles = 0;
  state.mode = fs::OpenMode::kIdle;
  EXPECT_FALSE(state.Sound()) << "a writer that is not open";
  OpenModes modes;
  modes.Close(kNode, kRead, true);
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

TEST_P(OpenMode, FilesOfAReadOnlyMountAreReadWithoutOpeningThem) {
  WorkDir::Setup setup = SetupOf(true);
  setup.options = "no_open";
  WorkDir work(setup);
  OpenFile(work / "f", O_RDONLY).Reset();
  const control::Stats before = StatsOf(work);
  UniqueFd file = OpenFile(work / "f", O_RDONLY);
  EXPECT_EQ(ReadFd(file.get()), std::string(20000, 'a'));
  EXPECT_EQ(lseek(file.get(), 5, SEEK_HOLE), 20000);
  EXPECT_EQ(lseek(file.get(), 20000, SEEK_DATA), -1);
  EXPECT_EQ(fsync(file.get()), 0);
  void* map = mmap(nullptr, 4096, PROT_READ, MAP_SHARED, file.get(), 0);
  ASSERT_NE(map, MAP_FAILED);
  EXPECT_EQ(static_cast<const char*>(map)[4095], 'a');
  munmap(map, 4096);
  EXPECT_EQ(StatsOf(work).handles, before.handles);
  EXPECT_EQ(StatsOf(work).passthrough, 0u);
  EXPECT_EQ(open((work / "f").c_str(), O_RDWR | O_CLOEXEC), -1);
  EXPECT_EQ(errno, EROFS);
}

TEST_P(OpenMode, WritableMountsOpenTheirFilesWhateverTheOptionsSay) {
  WorkDir::Setup setup = SetupOf(false);
  setup.options = "no_open";
  WorkDir work(setup);
  const uint64_t none_open = StatsOf(work).handles;
  UniqueFd file = OpenFile(work / "f", O_RDONLY);
  EXPECT_EQ(StatsOf(work).handles, none_open + 1);
  AppendFile(work / "f", "b");
  EXPECT_EQ(ReadFd(file.get()).back(), 'b');
}

// What may be shared is asked for when that is settled: before, somebody may come and write.
TEST(OpenModes, WhatIsSharedIsWhatIsThereWhenItIsOpened) {
  OpenModes modes;
  int asked = 0;
  const OpenModes::Data data{.share = [&] {
    ++asked;
    return -1;  // copied up meanwhile
  }};
  auto add = [](int) { return 3; };
  {
    OpenModes::Changing changing(modes, kNode);
    EXPECT_EQ(modes.Open(kNode, kRead, false, data, add).backing_id, 0);
    EXPECT_EQ(asked, 0) << "somebody is about to write";
    modes.Close(kNode, kRead, false);
  }
  EXPECT_EQ(modes.Open(kNode, kRead, false, data, add).backing_id, 0);
  EXPECT_EQ(asked, 1);
  EXPECT_EQ(modes.Open(kNode, kRead, false, data, add).backing_id, 0);
  EXPECT_EQ(asked, 1) << "it is open already";
}

class SharedPrograms : public OpenMode {
 protected:
  static constexpr int kMany = 200;
  static std::string Program(char c) { return "\177ELF" + std::string(20000, c); }
  static void PopulatePrograms(const std::string& dir) {
    WriteFile(dir + "/program", Program('a'));
    WriteFile(dir + "/text", std::string(20000, 'a'));
    for (int i = 0; i < kMany; ++i) WriteFile(dir + fmt::format("/many{}", i), Program('m'));
    WriteFile(dir + "/sleep", ReadFile("/bin/sleep"));
    ASSERT_EQ(chmod((dir + "/sleep").c_str(), 0755), 0);
  }
  SharedPrograms() {
    WorkDir::Setup setup = SetupOf(false);
    setup.populate = PopulatePrograms;
    setup.options = "share_programs";
    work_ = std::make_unique<WorkDir>(setup);
    none_open_ = StatsOf(work()).handles;
    lower_ = work().LowerText();
  }
  void TearDown() override { EXPECT_EQ(work().LowerText(), lower_); }
  WorkDir& work() { return *work_; }
  std::string At(const std::string& name) { return work() / name; }
  void AwaitClosed() { AwaitHandles(work(), none_open_); }
  bool shares() const { return std::get<1>(GetParam()); }

 private:
  std::unique_ptr<WorkDir> work_;
  uint64_t none_open_ = 0;
  std::string lower_;
};

TEST_P(SharedPrograms, AreReadInTheLowersFileAndOthersAreNot) {
  EXPECT_EQ(ReadFile(At("text")), std::string(20000, 'a'));
  EXPECT_EQ(Passed(work()), 0u);
  EXPECT_EQ(ReadFile(At("program")), Program('a'));
  EXPECT_EQ(Passed(work()), shares() ? 1u : 0u);
}

TEST_P(SharedPrograms, CannotBeWrittenWhileSomebodyHasThemOpen) {
  UniqueFd reader = OpenFile(At("program"), O_RDONLY);
  const std::string old = Program('a');
  auto* map =
      static_cast<const char*>(mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE, reader.get(), 0));
  ASSERT_NE(map, MAP_FAILED);
  ASSERT_EQ(map[100], 'a');
  for (int flags : {O_WRONLY, O_RDWR, O_RDWR | O_APPEND, O_WRONLY | O_TRUNC, O_RDONLY | O_TRUNC}) {
    UniqueFd writer(open(At("program").c_str(), flags | O_CLOEXEC));
    EXPECT_EQ(static_cast<bool>(writer), !shares()) << flags;
    if (shares()) {
      EXPECT_EQ(errno, ETXTBSY);
    }
  }
  if (!shares()) {
    munmap(const_cast<char*>(map), 4096);
    return;
  }
  EXPECT_EQ(truncate(At("program").c_str(), 5), -1);
  EXPECT_EQ(errno, ETXTBSY);
  ASSERT_EQ(chmod(At("program").c_str(), 0711), 0) << "what is not data may change";
  EXPECT_EQ(Stat(At("program")).st_mode & 0777, 0711u);
  EXPECT_EQ(ReadFile(At("program")), old);
  EXPECT_EQ(ReadFd(reader.get()), old);
  reader.Reset();
  AwaitClosed();
  std::string expected = old;
  expected[100] = 'b';
  {
    UniqueFd writer = OpenFile(At("program"), O_RDWR);
    ASSERT_EQ(pwrite(writer.get(), "b", 1, 100), 1);
    EXPECT_EQ(ReadFile(At("program")), expected) << "who opens it new sees that";
  }
  EXPECT_EQ(map[100], 'a') << "a mapping goes on with what there was";
  munmap(const_cast<char*>(map), 4096);
  ASSERT_EQ(truncate(At("program").c_str(), 200), 0);
  EXPECT_EQ(ReadFile(At("program")), expected.substr(0, 200));
  work().Remount();
  EXPECT_EQ(ReadFile(At("program")), expected.substr(0, 200));
}

// Readers and writers come and go; what one has written, the next reader sees.
TEST_P(SharedPrograms, AreRightWhoeverComesFirst) {
  std::atomic<bool> done{false};
  std::atomic<int> version{0};  // written whole
  std::vector<std::thread> readers;
  readers.reserve(3);
  for (int i = 0; i < 3; ++i) {
    readers.emplace_back([&] {
      while (!done) {
        const int least = version;
        UniqueFd fd(open(At("program").c_str(), O_RDONLY | O_CLOEXEC));
        char text[8] = {};
        ASSERT_EQ(pread(fd.get(), text, 7, 4), 7);
        if (text[0] == 'a') {
          EXPECT_EQ(least, 0);
        } else {
          EXPECT_GE(std::atoi(text), least);
        }
      }
    });
  }
  for (int i = 0; i < 200;) {
    UniqueFd writer(open(At("program").c_str(), O_WRONLY | O_CLOEXEC));
    if (!writer) {
      ASSERT_EQ(errno, ETXTBSY);
      std::this_thread::yield();
      continue;
    }
    ++i;
    ASSERT_EQ(pwrite(writer.get(), fmt::format("{:07}", i).c_str(), 7, 4), 7);
    version = i;
  }
  done = true;
  for (std::thread& reader : readers) reader.join();
}

// close(2) does not wait until the daemon knows.
TEST_P(SharedPrograms, CanBeWrittenByWhoHasJustClosedThem) {
  for (int i = 0; i < kMany; ++i) {
    const std::string name = At(fmt::format("many{}", i));
    EXPECT_EQ(ReadFile(name), Program('m'));
    UniqueFd writer(open(name.c_str(), O_WRONLY | O_CLOEXEC));
    EXPECT_TRUE(writer) << strerror(errno);
  }
}

TEST_P(SharedPrograms, ReplacedByRenamingTheyAreWhatIsThere) {
  UniqueFd before = OpenFile(At("program"), O_RDONLY);
  WriteFile(At("new"), Program('n'));
  ASSERT_EQ(rename(At("new").c_str(), At("program").c_str()), 0);
  EXPECT_EQ(ReadFile(At("program")), Program('n'));
  EXPECT_EQ(ReadFd(before.get()), Program('a'));
}

TEST_P(SharedPrograms, RunAndCannotBeWrittenMeanwhile) {
  pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    execl(At("sleep").c_str(), "sleep", "100", nullptr);
    _exit(127);
  }
  const std::string name = "/proc/" + std::to_string(child) + "/comm";
  for (int i = 0; i < 500 && ReadFile(name) != "sleep\n"; ++i) usleep(10'000);
  EXPECT_EQ(open(At("sleep").c_str(), O_WRONLY | O_CLOEXEC), -1);
  EXPECT_EQ(errno, ETXTBSY);
  kill(child, SIGKILL);
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFSIGNALED(status));
}

// The host's file is changed behind the kernel's back: it shows only where the kernel asks again.
TEST_P(OpenMode, AttributesAreKeptWhileNobodyMayMapTheFile) {
  const bool passes = std::get<1>(GetParam());
  WorkDir work(SetupOf(false));
  const uint64_t none_open = StatsOf(work).handles;
  const std::string host = work.upper() + "/new";
  auto mode = [&] { return Stat(work / "new").st_mode & 0777; };
  UniqueFd file = OpenFile(work / "new", O_WRONLY | O_CREAT | O_EXCL, 0600);
  ASSERT_EQ(chmod(host.c_str(), 0601), 0);
  EXPECT_EQ(mode(), 0600u) << "as it was made";
  ASSERT_EQ(write(file.get(), "content", 7), 7);
  EXPECT_EQ(mode(), 0601u) << "its size and times are others";
  ASSERT_EQ(chmod(host.c_str(), 0602), 0);
  EXPECT_EQ(mode(), 0601u) << "the answer is kept";
  ASSERT_EQ(fsync(file.get()), 0);
  EXPECT_EQ(mode(), 0602u) << "blocks may be others";
  ASSERT_EQ(chmod(host.c_str(), 0603), 0);
  file.Reset();
  AwaitHandles(work, none_open);
  EXPECT_EQ(mode(), 0603u) << "what was told before the end";
  ASSERT_EQ(chmod(host.c_str(), 0604), 0);
  OpenFile(work / "new", O_WRONLY).Reset();
  AwaitHandles(work, none_open);
  EXPECT_EQ(mode(), 0603u) << "nothing was told meanwhile";
  file = OpenFile(work / "new", O_RDWR);
  EXPECT_EQ(mode(), passes ? 0604u : 0603u);
  ASSERT_EQ(chmod(host.c_str(), 0605), 0);
  EXPECT_EQ(mode(), passes ? 0605u : 0603u) << "a mapping could change times";
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
INSTANTIATE_TEST_SUITE_P(Each, SharedPrograms,
                         ::testing::Combine(::testing::Values(Kind::kStack, Kind::kChain),
                                            ::testing::Bool()),
                         ModeName);

}  // namespace
}  // namespace veneer::fs::testing
