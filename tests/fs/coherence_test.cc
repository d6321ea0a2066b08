// Once write has returned, every read sees it, through descriptors from before the copy-up and
// mappings too; and the lower never changes. The cases of fuse-overlayfs' faults are among them.
#include <fcntl.h>
#include <sys/mman.h>

#include "tests/fs/work_dir.h"

namespace veneer::fs::testing {
namespace {

void DropCaches() { WriteFile("/proc/sys/vm/drop_caches", "1"); }

class Coherence : public OverEachKind {
 protected:
  void Populate(const std::string& dir) override {
    WriteFile(dir + "/f", std::string(10000, 'a'));
    WriteFile(dir + "/h1", "linked");
    ASSERT_EQ(link((dir + "/h1").c_str(), (dir + "/h2").c_str()), 0);
  }
  void SetUp() override {
    OverEachKind::SetUp();
    before_ = plain() ? "" : TreeText(work().lower());
  }
  void TearDown() override {
    if (!plain()) {
      work().Unmount();
      EXPECT_EQ(TreeText(work().lower()), before_) << "the lower has changed";
    }
    OverEachKind::TearDown();
  }

 private:
  std::string before_;
};

TEST_P(Coherence, ReaderFromBeforeCopyUpSeesLaterWrites) {
  UniqueFd reader = OpenFile(At("f"), O_RDONLY);
  EXPECT_EQ(ReadFd(reader.get())[0], 'a');
  AppendFile(At("f"), "tail");
  EXPECT_EQ(ReadFd(reader.get()), std::string(10000, 'a') + "tail");
  UniqueFd writer = OpenFile(At("f"), O_RDWR);
  ASSERT_EQ(pwrite(writer.get(), "B", 1, 5000), 1);
  EXPECT_EQ(ReadFd(reader.get())[5000], 'B');
}

TEST_P(Coherence, MappedReaderSeesLaterWrites) {
  UniqueFd reader = OpenFile(At("f"), O_RDONLY);
  auto* map =
      static_cast<volatile char*>(mmap(nullptr, 8192, PROT_READ, MAP_SHARED, reader.get(), 0));
  ASSERT_NE(map, MAP_FAILED);
  EXPECT_EQ(map[100], 'a');
  UniqueFd writer = OpenFile(At("f"), O_RDWR);
  ASSERT_EQ(pwrite(writer.get(), "ZZ", 2, 100), 2);
  EXPECT_EQ(map[100], 'Z');
  munmap(const_cast<char*>(map), 8192);
}

// fuse-overlayfs 1.10: stale pages of the first descriptor come back to disk, and fsynced data is
// lost.
TEST_P(Coherence, EvictedPagesComeBackNew) {
  UniqueFd reader = OpenFile(At("f"), O_RDONLY);
  EXPECT_EQ(ReadFd(reader.get())[0], 'a');
  {
    UniqueFd writer = OpenFile(At("f"), O_RDWR);
    ASSERT_EQ(pwrite(writer.get(), "NEW", 3, 0), 3);
    ASSERT_EQ(fsync(writer.get()), 0);
  }
  DropCaches();
  EXPECT_EQ(ReadFd(reader.get()).substr(0, 4), "NEWa");
  {
    UniqueFd writer = OpenFile(At("f"), O_RDWR);
    ASSERT_EQ(pwrite(writer.get(), "x", 1, 10), 1);
  }
  reader.Reset();
  DropCaches();
  EXPECT_EQ(ReadFile(At("f")).substr(0, 12), "NEWaaaaaaaxa");
  work().Remount();
  EXPECT_EQ(ReadFile(At("f")).substr(0, 12), "NEWaaaaaaaxa");
}

// fuse-overlayfs 2.0, as root: the write goes into the image layer.
TEST_P(Coherence, WriteBesideAReaderGoesToTheUpper) {
  UniqueFd reader = OpenFile(At("f"), O_RDONLY);
  AppendFile(At("f"), "x");
  EXPECT_EQ(Stat(At("f")).st_size, 10001);
}

TEST_P(Coherence, TruncateIsSeenByEarlierReaders) {
  UniqueFd reader = OpenFile(At("f"), O_RDONLY);
  EXPECT_EQ(ReadFd(reader.get()).size(), 10000u);
  ASSERT_EQ(truncate(At("f").c_str(), 10), 0);
  EXPECT_EQ(ReadFd(reader.get()), std::string(10, 'a'));
  ASSERT_EQ(truncate(At("f").c_str(), 20), 0);
  EXPECT_EQ(ReadFd(reader.get()), std::string(10, 'a') + std::string(10, '\0'));
  WriteFile(At("f"), "short");  // O_TRUNC
  EXPECT_EQ(ReadFd(reader.get()), "short");
}

TEST_P(Coherence, FallocateAndCopyFileRange) {
  UniqueFd reader = OpenFile(At("f"), O_RDONLY);
  EXPECT_EQ(ReadFd(reader.get()).size(), 10000u);
  UniqueFd writer = OpenFile(At("f"), O_RDWR);
  ASSERT_EQ(fallocate(writer.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096), 0);
  EXPECT_EQ(ReadFd(reader.get())[0], '\0');
  EXPECT_EQ(ReadFd(reader.get())[5000], 'a');
  UniqueFd source = OpenFile(At("h1"), O_RDONLY);
  off_t in = 0;
  off_t out = 100;
  ASSERT_EQ(copy_file_range(source.get(), &in, writer.get(), &out, 6, 0), 6);
  EXPECT_EQ(ReadFd(reader.get()).substr(100, 6), "linked");
}

TEST_P(Coherence, MetadataChangeThenWrite) {
  UniqueFd reader = OpenFile(At("f"), O_RDONLY);
  ASSERT_EQ(chmod(At("f").c_str(), 0600), 0);
  EXPECT_EQ(ReadFd(reader.get()), std::string(10000, 'a'));
  struct stat before = Stat(At("f"));
  AppendFile(At("f"), "z");
  EXPECT_EQ(ReadFd(reader.get()), std::string(10000, 'a') + "z");
  struct stat after = Stat(At("f"));
  EXPECT_EQ(after.st_mode & 07777, 0600u);
  EXPECT_EQ(before.st_ino, after.st_ino);
  reader.Reset();
  work().Remount();
  EXPECT_EQ(ReadFile(At("f")), std::string(10000, 'a') + "z");
}

// fuse-overlayfs 1.10: after a remount, one name of a linked file has the old content cut to the
// new size.
TEST_P(Coherence, LinkedNamesAgreeAfterRemount) {
  UniqueFd reader = OpenFile(At("h2"), O_RDONLY);
  EXPECT_EQ(ReadFd(reader.get()), "linked");
  WriteFile(At("h1"), "new content");
  EXPECT_EQ(ReadFd(reader.get()), "new content");
  EXPECT_EQ(ReadFile(At("h2")), "new content");
  reader.Reset();
  work().Remount();
  EXPECT_EQ(ReadFile(At("h1")), "new content");
  EXPECT_EQ(ReadFile(At("h2")), "new content");
}

VENEER_OVER_EACH_KIND(Coherence);

}  // namespace
}  // namespace veneer::fs::testing
