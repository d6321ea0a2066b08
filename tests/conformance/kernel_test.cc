// What the kernel does with files of a mount as with any other: locks, notifications, birth times.
#include <fcntl.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cstdlib>
#include <map>

#include "tests/conformance/conformance.h"

namespace veneer::fs::conformance {
namespace {

using testing::MakeDirs;
using testing::OpenFile;
using testing::WriteFile;

class Locks : public KernelConformance {
 protected:
  void Populate(const std::string& dir) override { WriteFile(dir + "/f", "lower file"); }
  static struct flock Range(short type, off_t start, off_t length) {
    struct flock range = {};
    range.l_type = type;
    range.l_whence = SEEK_SET;
    range.l_start = start;
    range.l_len = length;
    return range;
  }
  // The errno of another process' attempt to lock a range, or 0.
  int LockElsewhere(short type, off_t start, off_t length) {
    return AsUser(0, [&] {
      int fd = open(At("f").c_str(), O_RDWR | O_CLOEXEC);
      struct flock range = Range(type, start, length);
      return fd < 0 || fcntl(fd, F_SETLK, &range) != 0 ? errno : 0;
    });
  }
};

TEST_P(Locks, OfRangesHoldBetweenProcesses) {
  UniqueFd fd = OpenFile(At("f"), O_RDWR);
  struct flock range = Range(F_WRLCK, 2, 3);
  ASSERT_EQ(fcntl(fd.get(), F_SETLK, &range), 0);
  EXPECT_EQ(LockElsewhere(F_RDLCK, 4, 1), EAGAIN);
  EXPECT_EQ(LockElsewhere(F_WRLCK, 0, 2), 0);
  EXPECT_EQ(LockElsewhere(F_WRLCK, 5, 0), 0);
  EXPECT_EQ(AsUser(0,
                   [&] {
                     int other = open(At("f").c_str(), O_RDWR | O_CLOEXEC);
                     struct flock asked = Range(F_WRLCK, 0, 0);
                     if (fcntl(other, F_GETLK, &asked) != 0) return 1;
                     return asked.l_type == F_WRLCK && asked.l_start == 2 && asked.l_len == 3 &&
                                    asked.l_pid == getppid()
                                ? 0
                                : 2;
                   }),
            0);
  range = Range(F_UNLCK, 0, 0);
  ASSERT_EQ(fcntl(fd.get(), F_SETLK, &range), 0);
  EXPECT_EQ(LockElsewhere(F_WRLCK, 0, 0), 0);
}

// A reader's lock is on the file, not on where its data was when it came.
TEST_P(Locks, SurviveACopyUp) {
  UniqueFd reader = OpenFile(At("f"), O_RDONLY);
  struct flock range = Range(F_RDLCK, 0, 0);
  ASSERT_EQ(fcntl(reader.get(), F_SETLK, &range), 0);
  UniqueFd flocked = OpenFile(At("f"), O_RDONLY);
  ASSERT_EQ(flock(flocked.get(), LOCK_EX), 0);
  EXPECT_EQ(AsUser(0,
                   [&] {
                     int fd = open(At("f").c_str(), O_RDWR | O_APPEND | O_CLOEXEC);
                     return fd >= 0 && write(fd, "+", 1) == 1 ? 0 : 1;
                   }),
            0);
  EXPECT_EQ(LockElsewhere(F_WRLCK, 0, 0), EAGAIN);
  EXPECT_EQ(LockElsewhere(F_RDLCK, 0, 0), 0);
  UniqueFd late = OpenFile(At("f"), O_RDWR);
  EXPECT_EQ(flock(late.get(), LOCK_SH | LOCK_NB), -1);
  EXPECT_EQ(errno, EWOULDBLOCK);
  flocked.Reset();
  EXPECT_EQ(flock(late.get(), LOCK_EX | LOCK_NB), 0);
}

TEST_P(Locks, OfOpenFileDescriptionsAreTheirOwn) {
  UniqueFd one = OpenFile(At("f"), O_RDWR);
  UniqueFd two = OpenFile(At("f"), O_RDWR);
  struct flock range = Range(F_WRLCK, 0, 5);
  ASSERT_EQ(fcntl(one.get(), F_OFD_SETLK, &range), 0);
  EXPECT_EQ(fcntl(two.get(), F_OFD_SETLK, &range), -1);
  EXPECT_EQ(errno, EAGAIN);
  one.Reset();
  EXPECT_EQ(fcntl(two.get(), F_OFD_SETLK, &range), 0);
}

TEST_P(Locks, OfLinkedNamesAreOne) {
  ASSERT_EQ(link(At("f").c_str(), At("g").c_str()), 0);
  UniqueFd f = OpenFile(At("f"), O_RDONLY);
  UniqueFd g = OpenFile(At("g"), O_RDWR);
  ASSERT_EQ(flock(f.get(), LOCK_EX), 0);
  EXPECT_EQ(flock(g.get(), LOCK_EX | LOCK_NB), -1);
}

VENEER_KERNEL_CONFORMANCE(Locks);

class Inotify : public KernelConformance {
 protected:
  void Populate(const std::string& dir) override {
    MakeDirs(dir + "/d");
    WriteFile(dir + "/d/f", "lower");
  }
  void SetUp() override {
    KernelConformance::SetUp();
    notify_ = UniqueFd(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  }
  void TearDown() override {
    notify_.Reset();
    KernelConformance::TearDown();
  }
  void Watch(const std::string& name) {
    EXPECT_GE(inotify_add_watch(notify_.get(), At(name).c_str(), IN_ALL_EVENTS), 0) << name;
  }
  // What has happened since the last call: all events of each name.
  std::map<std::string, uint32_t> Events() {
    std::map<std::string, uint32_t> events;
    alignas(inotify_event) char buffer[4096];
    for (ssize_t n; (n = read(notify_.get(), buffer, sizeof buffer)) > 0;) {
      for (ssize_t at = 0; at < n;) {
        const auto* event = reinterpret_cast<const inotify_event*>(buffer + at);
        events[event->len > 0 ? event->name : ""] |= event->mask;
        at += static_cast<ssize_t>(sizeof *event + event->len);
      }
    }
    return events;
  }

 private:
  UniqueFd notify_;
};

TEST_P(Inotify, OfADirectoryTellsWhatHappensInIt) {
  Watch("d");
  WriteFile(At("d/new"), "x");
  EXPECT_EQ(Events()["new"] & (IN_CREATE | IN_MODIFY | IN_CLOSE_WRITE),
            static_cast<uint32_t>(IN_CREATE | IN_MODIFY | IN_CLOSE_WRITE));
  testing::AppendFile(At("d/f"), "copied up");
  EXPECT_EQ(Events()["f"] & (IN_OPEN | IN_MODIFY | IN_CREATE | IN_DELETE),
            static_cast<uint32_t>(IN_OPEN | IN_MODIFY))
      << "nothing of the copy-up";
  ASSERT_EQ(chmod(At("d/f").c_str(), 0600), 0);
  EXPECT_TRUE(Events()["f"] & IN_ATTRIB);
  ASSERT_EQ(rename(At("d/f").c_str(), At("d/g").c_str()), 0);
  auto moved = Events();
  EXPECT_TRUE(moved["f"] & IN_MOVED_FROM);
  EXPECT_TRUE(moved["g"] & IN_MOVED_TO);
  ASSERT_EQ(unlink(At("d/g").c_str()), 0);
  EXPECT_TRUE(Events()["g"] & IN_DELETE);
}

TEST_P(Inotify, OfAFileOutlivesItsCopyUp) {
  Watch("d/f");
  testing::AppendFile(At("d/f"), "copied up");
  EXPECT_TRUE(Events()[""] & IN_MODIFY);
  testing::AppendFile(At("d/f"), "again");
  EXPECT_TRUE(Events()[""] & IN_MODIFY);
  ASSERT_EQ(unlink(At("d/f").c_str()), 0);
  EXPECT_TRUE(Events()[""] & IN_DELETE_SELF);
}

VENEER_KERNEL_CONFORMANCE(Inotify);

class BirthTime : public KernelConformance {
 protected:
  void Populate(const std::string& dir) override { WriteFile(dir + "/f", "lower"); }
  struct statx Ask(const std::string& name) {
    struct statx st = {};
    EXPECT_EQ(statx(AT_FDCWD, At(name).c_str(), AT_SYMLINK_NOFOLLOW,
                    STATX_BASIC_STATS | STATX_BTIME, &st),
              0);
    return st;
  }
};

TEST_P(BirthTime, IsWhenTheFileWasMadeAndStays) {
  WriteFile(At("new"), "x");
  ASSERT_EQ(symlink("new", At("s").c_str()), 0);
  for (const char* name : {"new", "s"}) {
    struct statx made = Ask(name);
    ASSERT_TRUE(made.stx_mask & STATX_BTIME) << name;
    EXPECT_LE(std::abs(made.stx_btime.tv_sec - made.stx_ctime.tv_sec), 5) << name;
    const timespec old[2] = {{1, 0}, {1, 0}};
    ASSERT_EQ(utimensat(AT_FDCWD, At(name).c_str(), old, AT_SYMLINK_NOFOLLOW), 0);
    ASSERT_EQ(rename(At(name).c_str(), At("moved").c_str()), 0);
    ASSERT_EQ(rename(At("moved").c_str(), At(name).c_str()), 0);
    Remount();
    struct statx later = Ask(name);
    EXPECT_EQ(later.stx_btime.tv_sec, made.stx_btime.tv_sec) << name;
    EXPECT_EQ(later.stx_btime.tv_nsec, made.stx_btime.tv_nsec) << name;
    EXPECT_EQ(later.stx_mtime.tv_sec, 1) << name;
  }
}

// With birth times or without, statx shows what stat does.
TEST_P(BirthTime, OfLowersDoesNotDisturbTheRest) {
  struct stat st = Stat("f");
  struct statx stx = Ask("f");
  EXPECT_EQ(stx.stx_ino, st.st_ino);
  EXPECT_EQ(stx.stx_size, static_cast<uint64_t>(st.st_size));
  EXPECT_EQ(stx.stx_mode, st.st_mode);
  EXPECT_EQ(stx.stx_nlink, st.st_nlink);
  EXPECT_EQ(makedev(stx.stx_dev_major, stx.stx_dev_minor), st.st_dev);
}

VENEER_KERNEL_CONFORMANCE(BirthTime);

}  // namespace
}  // namespace veneer::fs::conformance
