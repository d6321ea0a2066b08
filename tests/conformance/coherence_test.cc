// Once a change has returned, every read sees it: through descriptors from before the copy-up,
// through mappings, from pages that were evicted, after a remount. And the lower never changes,
// which the fixture checks after each case.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "tests/conformance/conformance.h"

namespace veneer::fs::conformance {
namespace {

using testing::OpenFile;
using testing::ReadFd;
using testing::WriteFile;

const std::string& Original() {
  static const std::string content(10000, 'a');
  return content;
}

void PopulateCoherence(const std::string& dir) {
  WriteFile(dir + "/f", Original());
  WriteFile(dir + "/h1", "linked");
  ASSERT_EQ(link((dir + "/h1").c_str(), (dir + "/h2").c_str()), 0);
}

class Coherence : public Conformance {
 protected:
  void Populate(const std::string& dir) override { PopulateCoherence(dir); }
};

TEST_P(Coherence, ReaderFromBeforeCopyUpSeesLaterWrites) {
  FilePtr reader = Open("f", O_RDONLY);
  EXPECT_EQ(Read(*reader), Original());
  Append("f", "tail");
  EXPECT_EQ(Read(*reader), Original() + "tail");
  FilePtr writer = Open("f", O_RDWR);
  ASSERT_TRUE(writer->Write("B", 5000));
  EXPECT_EQ(reader->Read(2, 5000).value_or(""), "Ba");
}

TEST_P(Coherence, TruncateIsSeenByEarlierReaders) {
  FilePtr reader = Open("f", O_RDONLY);
  EXPECT_EQ(Read(*reader).size(), 10000u);
  ASSERT_EQ(Code(fs().Truncate("f", 10)), 0);
  EXPECT_EQ(Read(*reader), std::string(10, 'a'));
  ASSERT_EQ(Code(fs().Truncate("f", 20)), 0);
  EXPECT_EQ(Read(*reader), std::string(10, 'a') + std::string(10, '\0'));
  Write("f", "short");  // O_TRUNC
  EXPECT_EQ(Read(*reader), "short");
}

TEST_P(Coherence, OpeningWithTruncationIsSeenByEarlierReaders) {
  FilePtr reader = Open("f", O_RDONLY);
  EXPECT_EQ(Read(*reader).size(), 10000u);
  FilePtr writer = Open("f", O_RDWR | O_TRUNC);
  EXPECT_EQ(Read(*reader), "");
  ASSERT_TRUE(writer->Write("x", 3));
  EXPECT_EQ(Read(*reader), std::string("\0\0\0x", 4));
}

TEST_P(Coherence, FallocateAndCopyFileRangeAreSeenByEarlierReaders) {
  FilePtr reader = Open("f", O_RDONLY);
  EXPECT_EQ(Read(*reader).size(), 10000u);
  FilePtr writer = Open("f", O_RDWR);
  ASSERT_EQ(Code(writer->Allocate(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096)), 0);
  EXPECT_EQ(Read(*reader)[0], '\0');
  EXPECT_EQ(Read(*reader)[5000], 'a');
  ASSERT_EQ(Code(writer->Allocate(0, 0, 12000)), 0);
  EXPECT_EQ(Read(*reader).size(), 12000u);
  FilePtr source = Open("h1", O_RDONLY);
  ASSERT_EQ(source->CopyTo(*writer, 0, 100, 6).value_or(0), 6u);
  EXPECT_EQ(reader->Read(6, 100).value_or(""), "linked");
}

TEST_P(Coherence, MetadataChangeThenWrite) {
  FilePtr reader = Open("f", O_RDONLY);
  ASSERT_EQ(Code(fs().Chmod("f", 0600)), 0);
  EXPECT_EQ(Read(*reader), Original());
  ino_t before = Stat("f").st_ino;
  Append("f", "z");
  EXPECT_EQ(Read(*reader), Original() + "z");
  EXPECT_EQ(Mode("f"), 0600u);
  EXPECT_EQ(Stat("f").st_ino, before);
  reader.reset();
  Remount();
  EXPECT_EQ(Read("f"), Original() + "z");
}

TEST_P(Coherence, LinkedNamesAreOneFileForReadersOfEither) {
  FilePtr reader = Open("h2", O_RDONLY);
  EXPECT_EQ(Read(*reader), "linked");
  Write("h1", "new content");
  EXPECT_EQ(Read(*reader), "new content");
  EXPECT_EQ(Read("h2"), "new content");
  reader.reset();
  Remount();
  EXPECT_EQ(Read("h1"), "new content");
  EXPECT_EQ(Read("h2"), "new content");
}

TEST_P(Coherence, ReaderFollowsItsFileOverARename) {
  FilePtr reader = Open("f", O_RDONLY);
  ASSERT_EQ(Code(fs().Rename("f", "g")), 0);
  Write("f", "another");
  Append("g", "!");
  EXPECT_EQ(Read(*reader), Original() + "!");
}

VENEER_CONFORMANCE_IN_EVERY_MODE(Coherence);

// A shared mapping of a file.
class Mapping {
 public:
  Mapping(int fd, size_t size, int protection)
      : at_(static_cast<char*>(mmap(nullptr, size, protection, MAP_SHARED, fd, 0))), size_(size) {
    EXPECT_NE(static_cast<void*>(at_), MAP_FAILED);
  }
  ~Mapping() { munmap(at_, size_); }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  char at(size_t offset) const { return static_cast<volatile char*>(at_)[offset]; }
  void Set(size_t offset, char byte) { static_cast<volatile char*>(at_)[offset] = byte; }
  bool Sync() { return msync(at_, size_, MS_SYNC) == 0; }

 private:
  char* const at_;
  const size_t size_;
};

class MappedCoherence : public KernelConformance {
 protected:
  void Populate(const std::string& dir) override { PopulateCoherence(dir); }
  static void DropCaches() { WriteFile("/proc/sys/vm/drop_caches", "1"); }

  // Whatever is done to a file that is open and mapped for reading, every way of reading shows
  // `expected` from then on: at once, after fsync, with the pages gone, and after a remount.
  void ChangesShowEverywhere(const std::function<void(const std::string& path)>& change,
                             const std::string& expected) {
    {
      UniqueFd reader = OpenFile(At("f"), O_RDONLY);
      EXPECT_EQ(ReadFd(reader.get()), Original());
      Mapping early(reader.get(), 8192, PROT_READ);
      EXPECT_EQ(early.at(100), 'a');
      change(At("f"));
      size_t mapped = std::min<size_t>(expected.size(), 8192);
      auto check = [&](const char* when) {
        EXPECT_EQ(ReadFd(reader.get()), expected) << when;
        EXPECT_EQ(testing::ReadFile(At("f")), expected) << when;
        EXPECT_EQ(Stat("f").st_size, static_cast<off_t>(expected.size())) << when;
        for (size_t at = 0; at < mapped; at += 50) {
          ASSERT_EQ(early.at(at), expected[at]) << when << ", mapped before, at " << at;
        }
        Mapping late(reader.get(), 8192, PROT_READ);
        for (size_t at = 0; at < mapped; at += 50) {
          ASSERT_EQ(late.at(at), expected[at]) << when << ", mapped now, at " << at;
        }
      };
      check("at once");
      ASSERT_EQ(fsync(reader.get()), 0);
      check("after fsync");
      DropCaches();
      check("with the pages gone");
      // A small write next to what may be a stale page must not bring that to the disk.
      UniqueFd writer = OpenFile(At("f"), O_RDWR);
      ASSERT_EQ(pwrite(writer.get(), expected.data(), 1, 0), 1);
      check("after a further write");
      DropCaches();
    }
    EXPECT_EQ(testing::ReadFile(At("f")), expected);
    Remount();
    EXPECT_EQ(testing::ReadFile(At("f")), expected);
    DropCaches();
    EXPECT_EQ(testing::ReadFile(At("f")), expected);
  }
};

TEST_P(MappedCoherence, OverAWrite) {
  std::string expected = Original();
  expected.replace(0, 3, "NEW").replace(5000, 2, "ZZ");
  ChangesShowEverywhere(
      [](const std::string& path) {
        UniqueFd writer = OpenFile(path, O_RDWR);
        ASSERT_EQ(pwrite(writer.get(), "NEW", 3, 0), 3);
        ASSERT_EQ(pwrite(writer.get(), "ZZ", 2, 5000), 2);
      },
      expected);
}

TEST_P(MappedCoherence, OverAnAppend) {
  ChangesShowEverywhere([](const std::string& path) { testing::AppendFile(path, "tail"); },
                        Original() + "tail");
}

TEST_P(MappedCoherence, OverATruncate) {
  ChangesShowEverywhere([](const std::string& path) { ASSERT_EQ(truncate(path.c_str(), 6000), 0); },
                        Original().substr(0, 6000));
}

TEST_P(MappedCoherence, OverAnOpenWithTruncation) {
  ChangesShowEverywhere([](const std::string& path) { WriteFile(path, std::string(9000, 'n')); },
                        std::string(9000, 'n'));
}

TEST_P(MappedCoherence, OverAHolePunched) {
  std::string expected = Original();
  expected.replace(0, 4096, 4096, '\0');
  ChangesShowEverywhere(
      [](const std::string& path) {
        UniqueFd writer = OpenFile(path, O_RDWR);
        ASSERT_EQ(fallocate(writer.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096), 0);
      },
      expected);
}

TEST_P(MappedCoherence, OverPreallocation) {
  ChangesShowEverywhere(
      [](const std::string& path) {
        UniqueFd writer = OpenFile(path, O_RDWR);
        ASSERT_EQ(fallocate(writer.get(), 0, 0, 15000), 0);
      },
      Original() + std::string(5000, '\0'));
}

TEST_P(MappedCoherence, OverCopyFileRange) {
  std::string expected = Original();
  expected.replace(100, 6, "linked");
  ChangesShowEverywhere(
      [this](const std::string& path) {
        UniqueFd source = OpenFile(At("h1"), O_RDONLY);
        UniqueFd writer = OpenFile(path, O_RDWR);
        off_t in = 0;
        off_t out = 100;
        ASSERT_EQ(copy_file_range(source.get(), &in, writer.get(), &out, 6, 0), 6);
      },
      expected);
}

TEST_P(MappedCoherence, OverAWriteThroughAMapping) {
  std::string expected = Original();
  expected.replace(4096, 1, "M");
  ChangesShowEverywhere(
      [](const std::string& path) {
        UniqueFd writer = OpenFile(path, O_RDWR);
        Mapping map(writer.get(), 8192, PROT_READ | PROT_WRITE);
        map.Set(4096, 'M');
        ASSERT_TRUE(map.Sync());
      },
      expected);
}

TEST_P(MappedCoherence, OverChangesOfAttributes) {
  ChangesShowEverywhere(
      [](const std::string& path) {
        ASSERT_EQ(chmod(path.c_str(), 0600), 0);
        ASSERT_EQ(chown(path.c_str(), 1, 2), 0);
      },
      Original());
}

// What a mapping wrote is there without msync and without close, for reads and for a remount.
TEST_P(MappedCoherence, MappedWritesAreSeenByReads) {
  {
    UniqueFd early = OpenFile(At("f"), O_RDONLY);
    EXPECT_EQ(ReadFd(early.get()), Original());
    UniqueFd writer = OpenFile(At("f"), O_RDWR);
    Mapping map(writer.get(), 8192, PROT_READ | PROT_WRITE);
    map.Set(10, 'M');
    char byte = 0;
    ASSERT_EQ(pread(early.get(), &byte, 1, 10), 1);
    EXPECT_EQ(byte, 'M');
    map.Set(5000, 'N');
    EXPECT_EQ(testing::ReadFile(At("f"))[5000], 'N');
  }
  Remount();
  EXPECT_EQ(testing::ReadFile(At("f"))[10], 'M');
  EXPECT_EQ(testing::ReadFile(At("f"))[5000], 'N');
}

// A private mapping keeps what it changed to itself.
TEST_P(MappedCoherence, PrivateMappingsChangeNothing) {
  UniqueFd fd = OpenFile(At("f"), O_RDONLY);
  auto* map =
      static_cast<char*>(mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd.get(), 0));
  ASSERT_NE(static_cast<void*>(map), MAP_FAILED);
  map[0] = 'P';
  EXPECT_EQ(ReadFd(fd.get()), Original());
  munmap(map, 4096);
}

// Pages of a mapping that lie beyond the new end are gone: SIGBUS, in a child.
TEST_P(MappedCoherence, MappingBeyondTheEndIsSIGBUS) {
  UniqueFd fd = OpenFile(At("f"), O_RDONLY);
  Mapping map(fd.get(), 8192, PROT_READ);
  EXPECT_EQ(map.at(5000), 'a');
  ASSERT_EQ(truncate(At("f").c_str(), 100), 0);
  EXPECT_EQ(map.at(99), 'a');
  EXPECT_EQ(map.at(100), '\0');
  EXPECT_EXIT(_exit(map.at(5000)), ::testing::KilledBySignal(SIGBUS), "");
}

VENEER_KERNEL_CONFORMANCE_IN_EVERY_MODE(MappedCoherence);

// What stat says of a file that is written: always what the host says of its own.
class WrittenAttributes : public KernelConformance {
 protected:
  void Populate(const std::string& dir) override { PopulateCoherence(dir); }
  std::string Host(const std::string& name) {
    return oracle() ? At(name) : work().upper() + "/" + name;
  }
  static void ExpectSame(const struct stat& host, const struct stat& st, const std::string& when) {
    EXPECT_EQ(host.st_size, st.st_size) << when;
    EXPECT_EQ(host.st_blocks, st.st_blocks) << when;
    EXPECT_EQ(host.st_mtim.tv_sec, st.st_mtim.tv_sec) << when;
    EXPECT_EQ(host.st_mtim.tv_nsec, st.st_mtim.tv_nsec) << when;
  }
  void ExpectAsOnHost(const std::string& name, const std::string& when) {
    ExpectSame(testing::Stat(Host(name)), Stat(name), when);
  }
  struct stat Told(const UniqueFd& fd) {
    struct stat st = {};
    EXPECT_EQ(fstat(fd.get(), &st), 0);
    return st;
  }
  // close(2) does not wait for the daemon.
  void AwaitHandles(uint64_t wanted) {
    if (oracle()) return;
    for (int i = 0; i < 1000 && Statistics().handles != wanted; ++i) usleep(10'000);
    EXPECT_EQ(Statistics().handles, wanted);
  }
  uint64_t Handles() { return oracle() ? 0 : Statistics().handles; }
  // Pieces far from each other: when the host gives them their places it needs blocks for the list
  // of these, too.
  static void WriteScattered(int fd, char byte) {
    std::string page(4096, byte);
    for (off_t i = 0; i < 64; ++i) ASSERT_EQ(pwrite(fd, page.data(), 4096, i * 8192), 4096);
  }
  static void SyncFile(const std::string& path) {
    UniqueFd fd = OpenFile(path, O_RDONLY);
    ASSERT_EQ(fsync(fd.get()), 0);
  }
};

TEST_P(WrittenAttributes, AfterWriteAndFsyncAndClose) {
  const uint64_t none_open = Handles();
  for (int flags : {O_WRONLY, O_RDWR}) {
    for (bool scattered : {false, true}) {
      for (const char* name : {"new", "f"}) {
        {
          UniqueFd file = OpenFile(At(name), flags | O_CREAT | O_TRUNC);
          Told(file);
          if (scattered) {
            WriteScattered(file.get(), 'x');
          } else {
            std::string data(1 << 20, 'x');
            ASSERT_EQ(write(file.get(), data.data(), data.size()), ssize_t{1} << 20);
          }
          Told(file);
          ASSERT_EQ(fsync(file.get()), 0);
          // A volatile mount's fsync leaves the data to the host.
          if (!oracle()) SyncFile(Host(name));
          if (std::string_view(GetParam().options) != "volatile") {
            ExpectSame(testing::Stat(Host(name)), Told(file), "after fsync");
          }
        }
        AwaitHandles(none_open);
        ExpectAsOnHost(name, "after close");
        ASSERT_EQ(unlink(At(name).c_str()), 0);
      }
    }
  }
}

TEST_P(WrittenAttributes, AfterTheHostWroteBackByItself) {
  const uint64_t none_open = Handles();
  for (int flags : {O_WRONLY, O_RDWR}) {
    UniqueFd file = OpenFile(At("new"), flags | O_CREAT | O_EXCL);
    WriteScattered(file.get(), 'x');
    Told(file);
    Stat("new");
    SyncFile(Host("new"));
    file.Reset();
    AwaitHandles(none_open);
    ExpectAsOnHost("new", "after close");
    ASSERT_EQ(unlink(At("new").c_str()), 0);
  }
}

TEST_P(WrittenAttributes, ForAReaderWhileAWriterWrites) {
  const uint64_t none_open = Handles();
  for (const char* name : {"new", "f"}) {
    UniqueFd writer = OpenFile(At(name), O_WRONLY | O_CREAT | O_APPEND);
    UniqueFd reader = OpenFile(At(name), O_RDONLY);
    std::atomic<bool> done{false};
    std::thread others([&] {
      while (!done) {
        Told(reader);
        Stat(name);
      }
    });
    std::string data(3000, 'w');
    for (int i = 0; i < 300 && !HasFailure(); ++i) {
      ASSERT_EQ(write(writer.get(), data.data(), data.size()), 3000);
      struct stat host = testing::Stat(Host(name));
      EXPECT_EQ(Told(reader).st_size, host.st_size) << i;
      EXPECT_EQ(Stat(name).st_mtim.tv_nsec, host.st_mtim.tv_nsec) << i;
    }
    done = true;
    others.join();
    SyncFile(Host(name));
    writer.Reset();
    reader.Reset();
    AwaitHandles(none_open);
    ExpectAsOnHost(name, "after close");
  }
}

// Handles that cannot be mapped and one that is.
TEST_P(WrittenAttributes, ForHandlesOfEachKindAtOnce) {
  const uint64_t none_open = Handles();
  UniqueFd writer = OpenFile(At("new"), O_WRONLY | O_CREAT | O_EXCL);
  ASSERT_EQ(ftruncate(writer.get(), 8192), 0);
  struct timespec old[2] = {{1000, 0}, {1000, 0}};
  for (int round = 0; round < 3; ++round) {
    ASSERT_EQ(futimens(writer.get(), old), 0);
    EXPECT_EQ(Stat("new").st_mtim.tv_sec, 1000);
    {
      UniqueFd mapper = OpenFile(At("new"), O_RDWR);
      Mapping map(mapper.get(), 8192, PROT_READ | PROT_WRITE);
      EXPECT_EQ(Told(writer).st_mtim.tv_sec, 1000);
      map.Set(4096, 'M');
      ASSERT_TRUE(map.Sync());
      EXPECT_GT(Told(writer).st_mtim.tv_sec, 1000) << "a mapped write changes the time";
      ExpectAsOnHost("new", "mapped");
      ASSERT_EQ(pwrite(writer.get(), "w", 1, 0), 1);
      EXPECT_EQ(map.at(0), 'w');
      ExpectAsOnHost("new", "written, mapped");
      ASSERT_EQ(futimens(mapper.get(), old), 0);
      EXPECT_EQ(Stat("new").st_mtim.tv_sec, 1000);
      map.Set(100, 'N');
      ASSERT_TRUE(map.Sync());
      EXPECT_GT(Stat("new").st_mtim.tv_sec, 1000);
    }
    AwaitHandles(none_open + 1);
    ExpectAsOnHost("new", "not mapped any more");
    ASSERT_EQ(pwrite(writer.get(), "end", 3, 8192 + round * 3), 3);
    ExpectAsOnHost("new", "written");
  }
  SyncFile(Host("new"));
  writer.Reset();
  AwaitHandles(none_open);
  ExpectAsOnHost("new", "after close");
}

VENEER_KERNEL_CONFORMANCE_IN_EVERY_MODE(WrittenAttributes);

}  // namespace
}  // namespace veneer::fs::conformance
