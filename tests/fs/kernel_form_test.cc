// The upper of a directory stack mounted by root is the kernel overlayfs' own: what one of them
// wrote, the other shows, and goes on with.
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cstring>

#include "fs/control.h"
#include "store/base/beneath.h"
#include "tests/fs/kernel_overlay.h"
#include "tests/fs/work_dir.h"

namespace veneer::fs::testing {
namespace {

constexpr size_t kBig = 300'000;

// Both layers of a lower: in `d`, `deep` and `e` they merge.
void PopulateBelow(const std::string& dir) {
  for (const char* name : {"/d/sub", "/deep/a/b/c", "/e", "/low/x"}) MakeDirs(dir + name);
  for (const char* name : {"/d/below", "/d/both", "/d/sub/leaf", "/deep/a/b/c/leaf", "/e/only",
                           "/low/file", "/low/x/y", "/data"}) {
    WriteFile(dir + name, std::string("below") + name);
  }
  for (const char* name : {"/stub", "/stub2", "/stub3", "/low/stub4"}) {
    WriteFile(dir + name, std::string(kBig, 'x') + name);
  }
}

void Populate(const std::string& dir) {
  for (const char* name : {"/d/sub2", "/deep/a/t", "/e", "/empty", "/full", "/links/in", "/gone"}) {
    MakeDirs(dir + name);
  }
  for (const char* name : {"/d/above", "/d/both", "/deep/a/t/f", "/full/x", "/f1", "/f2", "/f3",
                           "/f4", "/gone/1", "/gone/2"}) {
    WriteFile(dir + name, std::string("above") + name);
  }
  // h: written under one name; s: metadata only; u: names removed; r: renamed; o: replaced; z: all
  // go.
  for (const char* group : {"h", "s", "u", "r", "o", "z", "t"}) {
    std::string first = dir + "/links/" + group + "1";
    WriteFile(first, std::string(5000, *group));
    for (const char* other : {"2", "3"}) {
      ASSERT_EQ(link(first.c_str(), (dir + "/links/in/" + group + other).c_str()), 0);
    }
  }
  ASSERT_EQ(symlink("f1", (dir + "/symlink").c_str()), 0);
  ASSERT_EQ(symlink("f2", (dir + "/symlink2").c_str()), 0);
  ASSERT_EQ(mkfifo((dir + "/fifo").c_str(), 0600), 0);
  ASSERT_EQ(mknod((dir + "/device").c_str(), S_IFCHR | 0600, makedev(1, 3)), 0);
  ASSERT_EQ(setxattr((dir + "/f2").c_str(), "user.note", "lower", 5, 0), 0);
}

int Move(const std::string& from, const std::string& to, unsigned flags = 0) {
  return renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), flags) == 0 ? 0 : errno;
}

// A bit of everything that an upper has to say. `m` is any filesystem with the lower's content.
void FirstChanges(const std::string& m) {
  // Hard links.
  AppendFile(m + "/links/h1", "+more");
  EXPECT_EQ(chmod((m + "/links/in/s2").c_str(), 0600), 0);
  EXPECT_EQ(unlink((m + "/links/in/u2").c_str()), 0);
  EXPECT_EQ(unlink((m + "/links/u1").c_str()), 0);
  EXPECT_EQ(Move(m + "/links/r1", m + "/d/r"), 0);
  EXPECT_EQ(link((m + "/links/in/r2").c_str(), (m + "/e/r4").c_str()), 0);
  EXPECT_EQ(Move(m + "/f4", m + "/links/in/o3"), 0);
  for (const char* name : {"/links/z1", "/links/in/z2", "/links/in/z3"}) {
    EXPECT_EQ(unlink((m + name).c_str()), 0);
  }
  EXPECT_EQ(Move(m + "/links/t1", m + "/f3", RENAME_EXCHANGE), 0);
  // Metadata only, and what happens to such a file then.
  EXPECT_EQ(chmod((m + "/stub").c_str(), 0640), 0);
  EXPECT_EQ(chown((m + "/stub2").c_str(), 7, 8), 0);
  EXPECT_EQ(Move(m + "/stub2", m + "/stub2-renamed"), 0);
  EXPECT_EQ(Move(m + "/stub3", m + "/empty/stub3"), 0);
  EXPECT_EQ(link((m + "/empty/stub3").c_str(), (m + "/e/stub3-link").c_str()), 0);
  EXPECT_EQ(setxattr((m + "/low/stub4").c_str(), "user.note", "upper", 5, 0), 0);
  timespec times[2] = {{.tv_sec = 1000, .tv_nsec = 5}, {.tv_sec = 2000, .tv_nsec = 7}};
  EXPECT_EQ(utimensat(AT_FDCWD, (m + "/data").c_str(), times, 0), 0);
  // Directories.
  EXPECT_EQ(Move(m + "/d", m + "/d-moved"), 0);
  EXPECT_EQ(Move(m + "/d-moved/sub", m + "/e/sub"), 0);
  EXPECT_EQ(Move(m + "/deep/a/b", m + "/d-moved/b"), 0);
  AppendFile(m + "/d-moved/b/c/leaf", "+moved");
  EXPECT_EQ(unlink((m + "/d-moved/both").c_str()), 0);
  MakeDirs(m + "/d");
  WriteFile(m + "/d/new", "new");
  EXPECT_EQ(Move(m + "/low", m + "/deep/a/t", RENAME_EXCHANGE), 0);
  EXPECT_EQ(unlink((m + "/full/x").c_str()), 0);
  EXPECT_EQ(Move(m + "/e", m + "/full"), 0);
  for (const char* name : {"/gone/1", "/gone/2"}) EXPECT_EQ(unlink((m + name).c_str()), 0);
  EXPECT_EQ(rmdir((m + "/gone").c_str()), 0);
  MakeDirs(m + "/fresh/inside");
  EXPECT_EQ(Move(m + "/fresh", m + "/gone"), 0);
  // Everything else.
  EXPECT_EQ(unlink((m + "/f1").c_str()), 0);
  WriteFile(m + "/f1", "again");
  EXPECT_EQ(setxattr((m + "/f2").c_str(), "user.note", "changed", 7, 0), 0);
  EXPECT_EQ(setxattr((m + "/f2").c_str(), "trusted.overlay.opaque", "y", 1, 0), 0);
  EXPECT_EQ(unlink((m + "/symlink").c_str()), 0);
  EXPECT_EQ(lchown((m + "/symlink2").c_str(), 3, 4), 0);
  EXPECT_EQ(Move(m + "/fifo", m + "/gone/fifo"), 0);
  EXPECT_EQ(chmod((m + "/device").c_str(), 0660), 0);
}

// And on top of these, by the same program or by the other.
void SecondChanges(const std::string& m) {
  AppendFile(m + "/links/in/h2", "+again");
  AppendFile(m + "/links/s1", "+filled");
  EXPECT_EQ(unlink((m + "/links/in/h3").c_str()), 0);
  EXPECT_EQ(unlink((m + "/links/in/u3").c_str()), 0);
  EXPECT_EQ(unlink((m + "/d-moved/r").c_str()), 0);
  AppendFile(m + "/full/r4", "+r4");
  EXPECT_EQ(Move(m + "/links/in/t2", m + "/links/in/t3-new"), 0);
  AppendFile(m + "/stub", "+filled");
  EXPECT_EQ(Move(m + "/stub2-renamed", m + "/full/stub2"), 0);
  EXPECT_EQ(link((m + "/full/stub2").c_str(), (m + "/stub2-link").c_str()), 0);
  AppendFile(m + "/full/stub3-link", "+filled");
  EXPECT_EQ(truncate((m + "/deep/a/t/stub4").c_str(), 0), 0);
  EXPECT_EQ(Move(m + "/d-moved", m + "/gone/d"), 0);
  EXPECT_EQ(Move(m + "/gone/d/b", m + "/b"), 0);
  EXPECT_EQ(unlink((m + "/gone/d/below").c_str()), 0);
  EXPECT_EQ(Move(m + "/low", m + "/f1", RENAME_EXCHANGE), 0);
  EXPECT_EQ(Move(m + "/data", m + "/f2"), 0);
}

uint64_t BytesCopied(const WorkDir& work) {
  UniqueFd fd = OpenFile(work.path(), O_RDONLY | O_DIRECTORY);
  control::Stats stats = {};
  EXPECT_EQ(ioctl(fd.get(), control::kStats, &stats), 0) << strerror(errno);
  return stats.bytes_copied;
}

// True: stubs are made.
class KernelForm : public ::testing::TestWithParam<bool> {
 protected:
  WorkDir::Setup Described() const {
    return {.kind = Kind::kStack,
            .populate = PopulateBelow,
            .options = GetParam() ? "metacopy=on" : "",
            .above = {Populate}};
  }
  // The same, done to a plain directory.
  std::string Expected(bool second) const {
    Scratch scratch;
    PopulateBelow(scratch.path());
    Populate(scratch.path());
    FirstChanges(scratch.path());
    if (second) SecondChanges(scratch.path());
    return TreeText(scratch.path(), /*times=*/false);
  }
};

TEST_P(KernelForm, TheKernelShowsWhatWeWrote) {
  WorkDir work(Described());
  std::string lower = work.LowerText();
  FirstChanges(work.path());
  EXPECT_EQ(TreeText(work.path(), false), Expected(false));
  std::string view = TreeText(work.path());
  work.Remount();
  EXPECT_EQ(TreeText(work.path()), view) << "after a remount";
  work.Unmount();
  EXPECT_EQ(KernelView(work), view);
  {
    KernelOverlay kernel(work);
    SecondChanges(kernel.path());
    EXPECT_EQ(TreeText(kernel.path(), false), Expected(true));
    view = TreeText(kernel.path());
  }
  work.Mount();
  EXPECT_EQ(TreeText(work.path()), view) << "after the kernel";
  work.Unmount();
  EXPECT_EQ(KernelView(work), view);
  EXPECT_EQ(work.LowerText(), lower);
}

TEST_P(KernelForm, WeShowWhatTheKernelWrote) {
  WorkDir work(Described());
  work.Unmount();
  std::string view;
  {
    KernelOverlay kernel(work);
    FirstChanges(kernel.path());
    view = TreeText(kernel.path());
  }
  work.Mount();
  EXPECT_EQ(TreeText(work.path()), view);
  SecondChanges(work.path());
  EXPECT_EQ(TreeText(work.path(), false), Expected(true));
  view = TreeText(work.path());
  work.Remount();
  EXPECT_EQ(TreeText(work.path()), view) << "after a remount";
  work.Unmount();
  EXPECT_EQ(KernelView(work), view);
}

TEST(Metacopy, ChangesOfAttributesCopyNoData) {
  WorkDir work({.kind = Kind::kStack,
                .populate =
                    [](const std::string& dir) {
                      WriteFile(dir + "/big", "x");
                      ASSERT_EQ(truncate((dir + "/big").c_str(), 1 << 30), 0);
                      UniqueFd fd = OpenFile(dir + "/big", O_WRONLY);
                      ASSERT_EQ(pwrite(fd.get(), "middle", 6, 1 << 29), 6);
                      WriteFile(dir + "/small", std::string(10000, 's'));
                    },
                .options = "metacopy=on"});
  EXPECT_EQ(chmod((work / "big").c_str(), 0600), 0);
  EXPECT_EQ(chown((work / "small").c_str(), 5, 5), 0);
  EXPECT_EQ(Move(work / "big", work / "renamed"), 0);
  EXPECT_EQ(BytesCopied(work), 0u);
  struct stat st = Stat(work.upper() + "/renamed");
  EXPECT_EQ(st.st_size, 1 << 30);
  EXPECT_LT(st.st_blocks, 64);
  AppendFile(work / "small", "+");
  EXPECT_EQ(BytesCopied(work), 10000u);
  EXPECT_EQ(ReadFile(work / "small"), std::string(10000, 's') + "+");
  work.Remount();
  UniqueFd fd = OpenFile(work / "renamed", O_RDONLY);
  char text[7] = {};
  EXPECT_EQ(pread(fd.get(), text, 6, 1 << 29), 6);
  EXPECT_STREQ(text, "middle");
}

TEST(Metacopy, IsOffWhereOthersReadTheUpper) {
  WorkDir work({.kind = Kind::kStack,
                .populate = [](const std::string& dir) { WriteFile(dir + "/f", "content"); }});
  EXPECT_EQ(chmod((work / "f").c_str(), 0600), 0);
  EXPECT_EQ(ReadFile(work.upper() + "/f"), "content");
}

TEST_P(KernelForm, IsNamedInTheLog) {
  WorkDir work(Described());
  work.Unmount();
  std::string log = ReadFile(work.scratch() + "/log");
  EXPECT_NE(
      log.find("upper " + work.upper() +
               ": markers trusted.overlay.*, whiteouts are devices, hard links in work/index, " +
               (GetParam() ? "metadata-only copy-up\n" : "copy-up of whole files\n")),
      std::string::npos)
      << log;
}

TEST(ChainForm, IsNamedInTheLog) {
  WorkDir work({.kind = Kind::kChain,
                .populate = [](const std::string& dir) { WriteFile(dir + "/f", "f"); }});
  work.Unmount();
  std::string log = ReadFile(work.scratch() + "/log");
  EXPECT_NE(
      log.find("upper " + work.upper() + ": markers trusted.overlay.*, whiteouts are devices"),
      std::string::npos)
      << log;
}

// An upper that has become a layer: relative and absolute redirects, stubs, opaque directories and
// whiteouts in lowers.
TEST_P(KernelForm, AnUpperIsALowerToo) {
  for (bool kernel : {false, true}) {
    WorkDir work(Described());
    if (kernel) {
      work.Unmount();
      KernelOverlay overlay(work);
      FirstChanges(overlay.path());
    } else {
      FirstChanges(work.path());
      work.Unmount();
    }
    std::string lowers = "lowerdir=" + work.upper() + ":" + work.lowerdirs();
    std::string m = work.scratch() + "/layers";
    MakeDirs(m);
    std::string options = lowers + ",redirect_dir=on,metacopy=on,xino=off";
    ASSERT_EQ(mount("overlay", m.c_str(), "overlay", MS_RDONLY, options.c_str()), 0)
        << strerror(errno);
    std::string view = TreeText(m);
    EXPECT_EQ(umount2(m.c_str(), 0), 0);
    RunResult run = RunVeneerfs({"-o", lowers, m});
    ASSERT_EQ(run.status, 0) << run.error;
    EXPECT_EQ(TreeText(m), view) << (kernel ? "by the kernel" : "by us");
    EXPECT_EQ(umount2(m.c_str(), 0), 0);
  }
}

// What the index says of a file is the same, whoever wrote it.
TEST_P(KernelForm, IndexesAreTheKernels) {
  std::vector<std::vector<std::string>> indexes;
  WorkDir work(Described());
  for (bool kernel : {false, true}) {
    work.Unmount();
    ASSERT_TRUE(RemoveTree(AT_FDCWD, work.upper()));
    ASSERT_TRUE(RemoveTree(AT_FDCWD, work.work()));
    MakeDirs(work.upper());
    MakeDirs(work.work());
    auto change = [&](const std::string& m) {
      EXPECT_EQ(chmod((m + "/links/s1").c_str(), 0600), 0);
      EXPECT_EQ(chmod((m + "/links/in/h2").c_str(), 0600), 0);
      EXPECT_EQ(chmod((m + "/links/in/h3").c_str(), 0640), 0);
      EXPECT_EQ(unlink((m + "/links/in/u2").c_str()), 0);
      EXPECT_EQ(link((m + "/links/in/s2").c_str(), (m + "/s4").c_str()), 0);
    };
    if (kernel) {
      change(KernelOverlay(work).path());
    } else {
      work.Mount();
      change(work.path());
      work.Unmount();
    }
    std::vector<std::string> index;
    for (const std::string& name : ListDir(work.work() + "/index")) {
      std::string path = work.work() + "/index/" + name;
      if (name.starts_with('#')) continue;  // the kernel's spare whiteout
      EXPECT_EQ(Xattr(path, "trusted.overlay.origin").size() * 2, name.size());
      std::string count = Xattr(path, "trusted.overlay.nlink");
      ASSERT_TRUE(count.starts_with("U")) << count;
      // Which of the lower's names are links already may differ; how many names there are may not.
      int names = static_cast<int>(Stat(path).st_nlink) + std::stoi(count.substr(1));
      index.push_back(name + " " + std::to_string(names));
    }
    indexes.push_back(std::move(index));
    EXPECT_EQ(Xattr(work.work() + "/index", "trusted.overlay.upper").size(), 29u);
  }
  EXPECT_EQ(indexes[0].size(), 3u);
  EXPECT_EQ(indexes[0], indexes[1]);
}

// Where a lower gives no handles that last, hard links go by inode number.
TEST(PrivateIndex, KeepsLinksWhereTheHostHasNoHandles) {
  WorkDir outer({.kind = Kind::kStack, .populate = PopulateBelow, .above = {Populate}});
  Scratch scratch;
  for (const char* name : {"upper", "work", "m"}) MakeDirs(scratch / name);
  std::string m = scratch / "m";
  auto mounted = [&](const std::function<void()>& body) {
    RunResult run =
        RunVeneerfs({"-o",
                     "metacopy=on,lowerdir=" + outer.path() + ",upperdir=" + (scratch / "upper") +
                         ",workdir=" + (scratch / "work") + ",log=" + (scratch / "log"),
                     m});
    ASSERT_EQ(run.status, 0) << run.error;
    body();
    ASSERT_EQ(umount2(m.c_str(), 0), 0);
    for (int i = 0; i < 2000 && Exists(scratch / "work/lock"); ++i) usleep(5000);
  };
  std::string view;
  mounted([&] {
    AppendFile(m + "/links/h1", "+");
    EXPECT_EQ(chmod((m + "/links/s1").c_str(), 0600), 0);
    EXPECT_EQ(unlink((m + "/links/u1").c_str()), 0);
    view = TreeText(m);
  });
  EXPECT_NE(ReadFile(scratch / "log").find("hard links in work/links"), std::string::npos);
  EXPECT_EQ(ListDir(scratch / "work/links").size(), 3u);
  EXPECT_FALSE(Exists(scratch / "work/index"));
  mounted([&] {
    EXPECT_EQ(TreeText(m), view);
    EXPECT_EQ(Stat(m + "/links/in/h3").st_nlink, 3u);
    EXPECT_EQ(Stat(m + "/links/in/u3").st_nlink, 2u);
    for (const char* name : {"/links/in/u2", "/links/in/u3"}) {
      EXPECT_EQ(unlink((m + name).c_str()), 0);
    }
    AppendFile(m + "/links/in/s3", "+");
    EXPECT_EQ(ReadFile(m + "/links/s1"), std::string(5000, 's') + "+");
  });
  EXPECT_EQ(ListDir(scratch / "work/links").size(), 2u);
}

INSTANTIATE_TEST_SUITE_P(Each, KernelForm, ::testing::Bool(), [](const auto& test) {
  return test.param ? std::string("Metacopy") : std::string("WholeFiles");
});

}  // namespace
}  // namespace veneer::fs::testing
