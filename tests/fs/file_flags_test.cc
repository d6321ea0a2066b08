// Inode flags as chattr(1) sets them: append-only and immutable.
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "tests/fs/work_dir.h"

namespace veneer::fs::testing {
namespace {

class FileFlags : public OverEachKind {
 protected:
  void Populate(const std::string& dir) override {
    WriteFile(dir + "/f", "lower");
    MakeDirs(dir + "/d");
  }
};

class WithFlags {  // of chattr(1), taken off again
 public:
  WithFlags(const std::string& path, int flags) : fd_(OpenFile(path, O_RDONLY)) {
    EXPECT_EQ(ioctl(fd_.get(), FS_IOC_GETFLAGS, &before_), 0) << strerror(errno);
    int now = before_ | flags;
    EXPECT_EQ(ioctl(fd_.get(), FS_IOC_SETFLAGS, &now), 0) << strerror(errno);
  }
  ~WithFlags() { EXPECT_EQ(ioctl(fd_.get(), FS_IOC_SETFLAGS, &before_), 0) << strerror(errno); }

 private:
  UniqueFd fd_;
  int before_ = 0;
};

int OpenError(const std::string& path, int flags) {
  UniqueFd fd(open(path.c_str(), flags | O_CLOEXEC));
  return fd ? 0 : errno;
}

TEST_P(FileFlags, AppendOnlyFileTakesAppendsAlone) {
  UniqueFd reader = OpenFile(At("f"), O_RDONLY);
  {
    WithFlags append_only(At("f"), FS_APPEND_FL);
    EXPECT_EQ(OpenError(At("f"), O_WRONLY), EPERM);
    EXPECT_EQ(OpenError(At("f"), O_RDWR | O_APPEND | O_TRUNC), EPERM);
    EXPECT_EQ(truncate(At("f").c_str(), 1), -1);
    UniqueFd first = OpenFile(At("f"), O_WRONLY | O_APPEND);
    EXPECT_EQ(write(first.get(), " more", 5), 5);
    EXPECT_EQ(OpenError(At("f"), O_WRONLY), EPERM);
    AppendFile(At("f"), " and more");
    EXPECT_EQ(unlink(At("f").c_str()), -1);
    EXPECT_EQ(ReadFd(reader.get()), "lower more and more");
  }
  UniqueFd writer = OpenFile(At("f"), O_RDWR);
  EXPECT_EQ(pwrite(writer.get(), "L", 1, 0), 1);
  EXPECT_EQ(ReadFd(reader.get()), "Lower more and more");
}

TEST_P(FileFlags, ImmutableIsNotOpenedToWriteNorRemoved) {
  UniqueFd writer = OpenFile(At("f"), O_RDWR);
  MakeDirs(At("d/full/directory"));
  WithFlags file(At("f"), FS_IMMUTABLE_FL);
  WithFlags dir(At("d"), FS_IMMUTABLE_FL);
  EXPECT_EQ(OpenError(At("f"), O_RDWR), EPERM);
  EXPECT_EQ(OpenError(At("f"), O_RDWR | O_APPEND), EPERM);
  EXPECT_EQ(OpenError(At("f"), O_RDONLY), 0);
  EXPECT_EQ(chmod(At("f").c_str(), 0600), -1);
  EXPECT_EQ(unlink(At("f").c_str()), -1);
  EXPECT_EQ(rename(At("f").c_str(), At("g").c_str()), -1);
  EXPECT_EQ(rmdir(At("d/full").c_str()), -1);
  EXPECT_EQ(errno, EPERM);
}

TEST_P(FileFlags, ChangingThemChangesTheTime) {
  {
    UniqueFd writer = OpenFile(At("f"), O_RDWR);
  }
  struct timespec before = Stat(At("f")).st_ctim;
  usleep(20'000);  // the host's clock ticks every few milliseconds
  {
    WithFlags no_dump(At("f"), FS_NODUMP_FL);
  }
  struct timespec after = Stat(At("f")).st_ctim;
  EXPECT_NE(std::pair(before.tv_sec, before.tv_nsec), std::pair(after.tv_sec, after.tv_nsec));
}

VENEER_OVER_EACH_KIND(FileFlags);

}  // namespace
}  // namespace veneer::fs::testing
