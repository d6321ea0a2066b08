// Where other overlay filesystems fell, each as a case. Those that are one case among others of a
// kind are elsewhere:
//
//   a write goes into the layer beside a reader, mapped readers go stale,
//   fsynced data is lost through stale pages                  MappedCoherence.OverAWrite
//   linked names part after a remount                         HardLink.WritingOneNameChangesAll
//   256 bytes give ENOENT; paths near PATH_MAX fail           Names255, DeepPaths
//   setgid and ACL inheritance, umask in create               Owner.OfNewFilesIsWhoMadeThem, …
//   nlink of an unlinked open file                            Data.UnlinkedFileIsStillUsable
//   inode numbers change on rename and copy-up                Identity.NumbersSurviveCopyUp…
//   no O_TMPFILE                                              Data.TemporaryFilesGetNames
//   EXDEV on the rename of a directory                        Rename.MovesLowerDirectory…
//   chown of a tree doubles its data, sparse files balloon    MetadataOnly, Data.HolesStayHoles
//   capabilities lost by chown after setxattr                 Owner.CopyUpKeepsSetuidAnd…
//   a late daemon unmounts what is there by then              tests/fs: Daemon.LeavesAnothersMount…
//   an empty file after a power cut                           tests/fs: PowerCut
//   at most 500 lowers                                        tests/fs: StackLower.ReadsAThousand…
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/statfs.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <random>
#include <set>
#include <thread>

#include "tests/conformance/conformance.h"

namespace veneer::fs::conformance {
namespace {

using testing::MakeDirs;
using testing::OpenFile;
using testing::ReadFd;
using testing::WriteFile;

class Trap : public Conformance {
 protected:
  void Populate(const std::string& dir) override {
    MakeDirs(dir + "/d");
    for (int i = 0; i < 40; ++i) WriteFile(dir + "/d/l" + std::to_string(i), "");
    ASSERT_EQ(symlink("d/l0", (dir + "/s").c_str()), 0);
  }
};

// fuse-overlayfs, all versions: after many changes a listing loses entries until the remount.
TEST_P(Trap, ListingIsCompleteAfterManyChanges) {
  std::set<std::string> expected;
  for (int i = 0; i < 40; ++i) expected.insert("l" + std::to_string(i));
  std::mt19937 random(1);
  auto some = [&] {
    auto it = expected.begin();
    std::advance(it, random() % expected.size());
    return *it;
  };
  auto check = [&] {
    std::vector<std::string> names = List("d");
    EXPECT_EQ(std::set(names.begin(), names.end()), expected);
    EXPECT_EQ(names.size(), expected.size()) << "a name twice";
  };
  for (int i = 0; i < 400; ++i) {
    std::string fresh = "n" + std::to_string(random() % 60);
    switch (random() % 5) {
      case 0:
        Write("d/" + fresh, "");
        expected.insert(fresh);
        break;
      case 1:
        if (expected.size() > 5) {
          std::string name = some();
          ASSERT_EQ(Code(fs().Unlink("d/" + name)), 0);
          expected.erase(name);
        }
        break;
      case 2: {
        std::string name = some();
        ASSERT_EQ(Code(fs().Rename("d/" + name, "d/" + fresh)), 0);
        expected.insert(fresh);
        if (!Exists("d/" + name)) expected.erase(name);  // two names of one file both stay
        break;
      }
      case 3:
        if (!expected.contains(fresh)) {
          ASSERT_EQ(Code(fs().Link("d/" + some(), "d/" + fresh)), 0);
          expected.insert(fresh);
        }
        break;
      default:
        ASSERT_EQ(Code(fs().Chmod("d/" + some(), 0600)), 0);
    }
    if (i % 50 == 0) check();
  }
  check();
  Remount();
  check();
}

// fuse-overlayfs 1.10, 1.16: follows the symlink into its own mount, and hangs.
TEST_P(Trap, TrustedAttributeOfASymlinkIsSetOnTheSymlink) {
  ASSERT_EQ(Code(fs().SetXattr("s", "trusted.x", "link")), 0);
  EXPECT_EQ(Xattr("s", "trusted.x"), "link");
  EXPECT_EQ(Xattr("d/l0", "trusted.x"), "");
  ASSERT_EQ(Code(fs().RemoveXattr("s", "trusted.x")), 0);
}

VENEER_CONFORMANCE(Trap);

class KernelTrap : public KernelConformance {
 protected:
  void Populate(const std::string& dir) override {
    WriteFile(dir + "/f", std::string(100000, 'a'));
    WriteFile(dir + "/g", "other");
    MakeDirs(dir + "/d");
    WriteFile(dir + "/d/x", "x");
  }
};

// fuse-overlayfs 2.0, as root: the write goes into the image layer. (The fixture compares the
// layer.)
TEST_P(KernelTrap, AppendBesideAReaderGoesToTheUpper) {
  UniqueFd reader = OpenFile(At("g"), O_RDONLY);
  testing::AppendFile(At("g"), "x");
  EXPECT_EQ(ReadFd(reader.get()), "otherx");
  if (!oracle()) {
    EXPECT_EQ(testing::ReadFile(work().upper() + "/g"), "otherx");
  }
}

// fuse-overlayfs, all versions: with the caches dropped all the time, files change their type or
// are not there, for an inode number is used again before the old one is forgotten.
TEST_P(KernelTrap, NamesKeepTheirTypesWhileCachesAreDropped) {
  std::atomic<bool> done{false};
  std::thread dropper([&] {
    while (!done) {
      WriteFile("/proc/sys/vm/drop_caches", "2");
      usleep(60'000);
    }
  });
  auto begin = std::chrono::steady_clock::now();
  for (int i = 0; std::chrono::steady_clock::now() - begin < std::chrono::milliseconds(900); ++i) {
    std::string name = At("n" + std::to_string(i % 7));
    mode_t type = i % 3 == 0 ? S_IFIFO : i % 3 == 1 ? S_IFREG : S_IFDIR;
    mode_t mode = 0600 + static_cast<mode_t>(i % 64);
    int made = type == S_IFDIR ? mkdir(name.c_str(), 0700) : mknod(name.c_str(), type | 0600, 0);
    ASSERT_EQ(made, 0) << strerror(errno);
    ASSERT_EQ(chmod(name.c_str(), mode), 0) << strerror(errno);
    ASSERT_EQ(chown(name.c_str(), static_cast<uid_t>(i), 5), 0) << strerror(errno);
    struct stat st = Stat("n" + std::to_string(i % 7));
    ASSERT_EQ(st.st_mode, type | mode) << i;
    ASSERT_EQ(st.st_uid, static_cast<uid_t>(i)) << i;
    int removed = type == S_IFDIR ? rmdir(name.c_str()) : unlink(name.c_str());
    ASSERT_EQ(removed, 0) << strerror(errno);
    ASSERT_FALSE(testing::Exists(name));
    ASSERT_EQ(testing::ReadFile(At("d/x")), "x");
  }
  done = true;
  dropper.join();
}

// fuse-overlayfs 2.0: one lock for all; whoever looks something up waits for a copy-up to end.
TEST_P(KernelTrap, NobodyElseWaitsForACopyUp) {
  if (oracle()) return;
  work().Unmount();
  work().Mount("copy_up.before_data=delay:1500");
  std::atomic<bool> copied{false};
  std::thread writer([&] {
    testing::AppendFile(At("f"), "x");
    copied = true;
  });
  usleep(300'000);
  EXPECT_EQ(testing::ListDir(path()).size(), 3u);
  EXPECT_EQ(testing::ReadFile(At("g")), "other");
  EXPECT_EQ(testing::ReadFile(At("f")), std::string(100000, 'a')) << "not even its readers";
  EXPECT_FALSE(testing::Exists(At("missing")));
  WriteFile(At("d/new"), "made in a directory that is copied up for it");
  ASSERT_EQ(rename(At("d/new").c_str(), At("new").c_str()), 0);
  ASSERT_EQ(unlink(At("d/x").c_str()), 0);
  EXPECT_FALSE(copied) << "all that took longer than a copy-up";
  writer.join();
  EXPECT_EQ(Stat("f").st_size, 100001);
}

VENEER_KERNEL_CONFORMANCE(KernelTrap);

// fuse-overlayfs 2.0: each small write costs a GETXATTR of security.capability.
TEST(SmallWrites, CostOneRequestEach) {
  testing::Scratch scratch;
  for (const char* dir : {"/lower", "/upper", "/work", "/m"}) MakeDirs(scratch.path() + dir);
  WriteFile(scratch / "lower/f", "lower");
  std::string m = scratch / "m";
  std::string options = "lowerdir=" + (scratch / "lower") + ",upperdir=" + (scratch / "upper") +
                        ",workdir=" + (scratch / "work");
  pid_t daemon = fork();
  if (daemon == 0) {
    int log = open((scratch / "requests").c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    dup2(log, STDERR_FILENO);
    execl(VENEER_BIN "/veneerfs", "veneerfs", "-f", "-d", "--no-passthrough", "--no-uring", "-o",
          options.c_str(), m.c_str(), nullptr);
    _exit(127);
  }
  auto mounted = [&] {
    struct statfs st = {};
    return statfs(m.c_str(), &st) == 0 && st.f_type == 0x65735546;
  };
  for (int i = 0; i < 2000 && !mounted(); ++i) usleep(10'000);
  ASSERT_TRUE(mounted());
  auto requests = [&](const std::string& what) {
    std::ifstream log(scratch / "requests");
    int count = 0;
    for (std::string line; std::getline(log, line);) {
      if (line.find("opcode: " + what) != line.npos) ++count;
    }
    return count;
  };
  {
    UniqueFd fd = OpenFile(m + "/f", O_RDWR);
    for (int i = 0; i < 100; ++i) ASSERT_EQ(pwrite(fd.get(), "x", 1, i * 10), 1);
  }
  EXPECT_EQ(requests("WRITE"), 100);
  EXPECT_LE(requests("GETXATTR"), 2);
  EXPECT_LE(requests("GETATTR"), 5);
  EXPECT_EQ(umount2(m.c_str(), 0), 0);
  int status = 0;
  waitpid(daemon, &status, 0);
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace veneer::fs::conformance
