// veneerfs as a program: becoming a daemon, ending, refusing, and the control channel.
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/statfs.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <fstream>
#include <thread>
#include <vector>

#include "fs/control.h"
#include "tests/fs/work_dir.h"

namespace veneer::fs::testing {
namespace {

class Daemon : public OverEachKind {
 protected:
  void Populate(const std::string& dir) override { WriteFile(dir + "/f", "lower"); }
  bool StillMounted() {
    std::ifstream mounts("/proc/self/mountinfo");
    for (std::string line; std::getline(mounts, line);) {
      if (line.find(" " + work().path() + " ") != line.npos) return true;
    }
    return false;
  }
  void AwaitEnd(pid_t pid) {
    for (int i = 0; i < 2000 && kill(pid, 0) == 0; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    EXPECT_NE(kill(pid, 0), 0);
  }
};

TEST_P(Daemon, AnswersWhenTheCommandReturns) {
  EXPECT_EQ(ReadFile(At("f")), "lower");
  struct statfs st = {};
  ASSERT_EQ(statfs(work().path().c_str(), &st), 0);
  EXPECT_EQ(st.f_type, 0x65735546);
  std::ifstream mounts("/proc/self/mountinfo");
  std::string all((std::istreambuf_iterator<char>(mounts)), {});
  EXPECT_NE(all.find(work().path() + " rw,noatime - fuse.veneerfs veneerfs"), all.npos) << all;
}

TEST_P(Daemon, EndsAndUnmountsOnSigterm) {
  WriteFile(At("new"), "kept");
  pid_t pid = work().pid();
  ASSERT_EQ(kill(pid, SIGTERM), 0);
  AwaitEnd(pid);
  EXPECT_FALSE(StillMounted());
  EXPECT_EQ(ReadFile(work().upper() + "/new"), "kept");
  work().Mount();
}

TEST_P(Daemon, SecondMountOfAnUpperIsBusyAndNamesTheHolder) {
  MakeDirs(work().scratch() + "/m2");
  MakeDirs(work().scratch() + "/other");
  std::string with_another_upper = work().mount_options();
  std::string with_another_work = with_another_upper;
  auto replace = [&](std::string& options, const std::string& key, const std::string& value) {
    size_t at = options.find(key + value);
    ASSERT_NE(at, options.npos);
    options.replace(at + key.size(), value.size(), work().scratch() + "/other");
  };
  replace(with_another_upper, "upperdir=", work().upper());
  replace(with_another_work, "workdir=", work().work());
  for (const std::string& options :
       {work().mount_options(), with_another_work, with_another_upper}) {
    RunResult second = RunVeneerfs({"-o", options, work().scratch() + "/m2"});
    EXPECT_NE(second.status, 0);
    EXPECT_NE(second.error.find("in use by veneerfs, process " + std::to_string(work().pid())),
              std::string::npos)
        << second.error;
    EXPECT_EQ(std::count(second.error.begin(), second.error.end(), '\n'), 1) << second.error;
  }
}

TEST_P(Daemon, LeavesAnothersMountAlone) {
  pid_t pid = work().pid();
  UniqueFd busy = OpenFile(At("f"), O_RDONLY);
  ASSERT_EQ(umount2(work().path().c_str(), MNT_DETACH), 0);
  ASSERT_EQ(mount("tmpfs", work().path().c_str(), "tmpfs", 0, nullptr), 0);
  ASSERT_EQ(kill(pid, SIGTERM), 0);
  AwaitEnd(pid);
  EXPECT_TRUE(StillMounted());
  EXPECT_EQ(umount(work().path().c_str()), 0);
  work().Mount();
}

TEST_P(Daemon, HoldsTheLease) {
  work().Unmount();
  std::string lease = work().scratch() + "/lease";
  // NOLINTNEXTLINE(android-cloexec-open): it is to be inherited
  UniqueFd fd(open(lease.c_str(), O_CREAT | O_RDWR, 0600));
  ASSERT_EQ(flock(fd.get(), LOCK_SH), 0);
  RunResult run = RunVeneerfs(
      {"-o", work().mount_options() + ",lease_fd=" + std::to_string(fd.get()), work().path()});
  ASSERT_EQ(run.status, 0) << run.error;
  fd.Reset();
  UniqueFd other = OpenFile(lease, O_RDWR);
  EXPECT_EQ(flock(other.get(), LOCK_EX | LOCK_NB), -1);
  ASSERT_EQ(umount(work().path().c_str()), 0);
  EXPECT_EQ(flock(other.get(), LOCK_EX), 0);
  work().Mount();
}

TEST_P(Daemon, ControlChannel) {
  UniqueFd root = OpenFile(work().path(), O_RDONLY | O_DIRECTORY);
  control::Identify identity = {};
  ASSERT_EQ(ioctl(root.get(), control::kIdentify, &identity), 0) << strerror(errno);
  EXPECT_EQ(identity.version, control::kVersion);
  EXPECT_EQ(static_cast<pid_t>(identity.pid), work().pid());
  EXPECT_EQ(identity.upper, work().upper());
  AppendFile(At("f"), "x");
  control::Stats stats = {};
  ASSERT_EQ(ioctl(root.get(), control::kStats, &stats), 0);
  EXPECT_EQ(stats.copy_ups, 1u);
  EXPECT_GT(stats.lookups, 0u);
  EXPECT_EQ(ioctl(root.get(), control::kSync), 0);
  EXPECT_EQ(ioctl(root.get(), control::kThaw), -1);
  EXPECT_EQ(errno, EINVAL);
  EXPECT_EQ(ioctl(root.get(), _IO(control::kType, 99)), -1);
  EXPECT_EQ(errno, ENOTTY);
}

TEST_P(Daemon, FreezeHoldsChangesUp) {
  using Clock = std::chrono::steady_clock;
  auto frozen_for = [&](auto thaw) {
    auto begin = Clock::now();
    std::thread later([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(150));
      thaw();
    });
    EXPECT_EQ(ReadFile(At("f")), "lower");  // reading goes on
    EXPECT_LT(Clock::now() - begin, std::chrono::milliseconds(140));
    WriteFile(At("held"), "x");
    later.join();
    return Clock::now() - begin;
  };
  UniqueFd root = OpenFile(work().path(), O_RDONLY | O_DIRECTORY);
  control::Freeze freeze = {.timeout_ms = 0, .reserved = 0};
  ASSERT_EQ(ioctl(root.get(), control::kFreeze, &freeze), 0);
  EXPECT_EQ(ioctl(root.get(), control::kFreeze, &freeze), -1);
  EXPECT_EQ(errno, EBUSY);
  EXPECT_GE(frozen_for([&] { EXPECT_EQ(ioctl(root.get(), control::kThaw), 0); }),
            std::chrono::milliseconds(150));
  int until[2];
  ASSERT_EQ(pipe2(until, O_CLOEXEC), 0);
  pid_t freezer = fork();
  if (freezer == 0) {
    int code = ioctl(root.get(), control::kFreeze, &freeze);
    (void)!write(until[1], "f", 1);
    pause();
    _exit(code);
  }
  char frozen = 0;
  ASSERT_EQ(read(until[0], &frozen, 1), 1);
  EXPECT_GE(frozen_for([&] {
              kill(freezer, SIGKILL);
              waitpid(freezer, nullptr, 0);
            }),
            std::chrono::milliseconds(150))
      << "thawed by the end of who froze";
  close(until[0]);
  close(until[1]);
  freeze.timeout_ms = 150;
  ASSERT_EQ(ioctl(root.get(), control::kFreeze, &freeze), 0);
  EXPECT_GE(frozen_for([] {}), std::chrono::milliseconds(150));
}

TEST_P(Daemon, CompletesMetadataOnlyFiles) {
  MakeDirs(At("new/deep"));
  ASSERT_EQ(chmod(At("f").c_str(), 0600), 0);
  ASSERT_EQ(rename(At("f").c_str(), At("new/deep/moved").c_str()), 0);
  std::string upper = work().upper() + "/new/deep/moved";
  UniqueFd root = OpenFile(work().path(), O_RDONLY | O_DIRECTORY);
  control::Stats stats = {};
  ASSERT_EQ(ioctl(root.get(), control::kStats, &stats), 0);
  EXPECT_EQ(stats.stubs, GetParam() == Kind::kChain ? 1u : 0u);
  ASSERT_EQ(ioctl(root.get(), control::kComplete), 0);
  EXPECT_EQ(ReadFile(upper), "lower");
  EXPECT_EQ(Xattr(upper, "trusted.overlay.metacopy"), "");
  EXPECT_EQ(ReadFile(At("new/deep/moved")), "lower");
  EXPECT_EQ(ioctl(root.get(), control::kComplete), 0) << "again, with nothing to do";
}

TEST_P(Daemon, EndsOnSigtermWhileFrozen) {
  UniqueFd root = OpenFile(work().path(), O_RDONLY | O_DIRECTORY);
  control::Freeze freeze = {.timeout_ms = 0, .reserved = 0};
  ASSERT_EQ(ioctl(root.get(), control::kFreeze, &freeze), 0);
  std::thread held([&] { (void)chmod(At("f").c_str(), 0600); });
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  pid_t pid = work().pid();
  auto begin = std::chrono::steady_clock::now();
  ASSERT_EQ(kill(pid, SIGTERM), 0);
  AwaitEnd(pid);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(5));
  held.join();
  root.Reset();
  EXPECT_FALSE(StillMounted());
  work().Mount();
}

// Freezes that come all the time hold up neither the end nor what is written back before it.
TEST_P(Daemon, EndsOnSigtermThoughFreezesAreQueued) {
  UniqueFd file = OpenFile(At("f"), O_RDWR);  // just copied up, so not passed through
  ASSERT_EQ(ftruncate(file.get(), 4096), 0);
  void* map = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
  ASSERT_NE(map, MAP_FAILED);
  memcpy(map, "kept", 4);
  std::atomic<bool> stop{false};
  std::vector<std::thread> freezers;
  freezers.reserve(4);
  for (int i = 0; i < 4; ++i) {
    freezers.emplace_back([&] {
      UniqueFd root = OpenFile(work().path(), O_RDONLY | O_DIRECTORY);
      control::Freeze freeze = {.timeout_ms = 30'000, .reserved = 0};
      while (!stop) (void)ioctl(root.get(), control::kFreeze, &freeze);
    });
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  pid_t pid = work().pid();
  ASSERT_EQ(kill(pid, SIGTERM), 0);
  AwaitEnd(pid);
  stop = true;
  for (std::thread& freezer : freezers) freezer.join();
  munmap(map, 4096);
  file.Reset();
  EXPECT_FALSE(StillMounted());
  EXPECT_EQ(ReadFile(work().upper() + "/f").substr(0, 4), "kept");
  work().Mount();
}

TEST_P(Daemon, ControlIsForItsOwnerAndRoot) {
  UniqueFd root = OpenFile(work().path(), O_RDONLY | O_DIRECTORY);
  auto as_user = [&](uid_t uid, unsigned long request) {
    pid_t child = fork();
    if (child == 0) {
      control::Stats stats = {};
      if (uid != 0 && setuid(uid) != 0) _exit(255);
      _exit(ioctl(root.get(), request, &stats) == 0 ? 0 : errno);
    }
    int status = 0;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    return WEXITSTATUS(status);
  };
  for (unsigned long request : {control::kStats, control::kSync}) {
    EXPECT_EQ(as_user(0, request), 0);
    EXPECT_EQ(as_user(99, request), EPERM);
  }
}

VENEER_OVER_MOUNTS(Daemon);

TEST(Program, FailuresAreOneLine) {
  Scratch scratch;
  MakeDirs(scratch / "m");
  MakeDirs(scratch / "l");
  for (const std::string& options :
       {std::string("lowerdir=/nonexistent"), "chain=/nonexistent/x,objects=" + (scratch / "l"),
        "lowerdir=" + (scratch / "l") + ",upperdir=/nonexistent,workdir=/nonexistent",
        std::string("upperdir=x"), "lowerdir=" + (scratch / "l") + ",uidmapping=0:1"}) {
    RunResult run = RunVeneerfs({"-o", options, scratch / "m"});
    EXPECT_NE(run.status, 0) << options;
    EXPECT_TRUE(run.error.starts_with("veneerfs: ")) << run.error;
    EXPECT_EQ(std::count(run.error.begin(), run.error.end(), '\n'), 1) << run.error;
  }
}

TEST(Program, UnknownOptionsAreIgnoredWithAWarning) {
  Scratch scratch;
  MakeDirs(scratch / "m");
  MakeDirs(scratch / "l");
  RunResult run = RunVeneerfs({"-o", "lowerdir=" + (scratch / "l") + ",whatever=1", scratch / "m"});
  EXPECT_EQ(run.status, 0) << run.error;
  EXPECT_NE(run.error.find("whatever=1"), std::string::npos) << run.error;
  EXPECT_EQ(umount((scratch / "m").c_str()), 0);
}

}  // namespace
}  // namespace veneer::fs::testing
