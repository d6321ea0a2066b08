// What other programs leave in the layers of a directory stack.
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cstring>
#include <map>
#include <set>
#include <string>

#include "tests/fs/work_dir.h"

namespace veneer::fs::testing {
namespace {

TEST(StackLower, ReadsOverlayAndAufsForms) {
  Scratch scratch;
  std::string bottom = scratch / "bottom";
  std::string top = scratch / "top";
  for (const char* name : {"/opq", "/aufs", "/plain"}) {
    MakeDirs(bottom + name);
    WriteFile(bottom + name + "/old", "old");
    MakeDirs(top + name);
    WriteFile(top + name + "/new", "new");
  }
  for (const char* name : {"/dev", "/wh", "/xwh", "/kept"}) WriteFile(bottom + name, name);
  ASSERT_EQ(mknod((top + "/dev").c_str(), S_IFCHR, 0), 0);
  WriteFile(top + "/.wh.wh", "");
  WriteFile(top + "/xwh", "");
  auto mark = [](const std::string& path, const char* name, const char* value) {
    ASSERT_EQ(setxattr(path.c_str(), name, value, strlen(value), 0), 0) << path;
  };
  mark(top + "/xwh", "user.overlay.whiteout", "y");
  mark(top, "user.overlay.opaque", "x");
  mark(top + "/opq", "trusted.overlay.opaque", "y");
  WriteFile(top + "/aufs/.wh..wh..opq", "");
  MakeDirs(bottom + "/from");
  WriteFile(bottom + "/from/inside", "inside");
  MakeDirs(top + "/to");
  mark(top + "/to", "trusted.overlay.redirect", "/from");
  MakeDirs(scratch / "m");
  RunResult run = RunVeneerfs({"-o", "lowerdir=" + top + ":" + bottom, scratch / "m"});
  ASSERT_EQ(run.status, 0) << run.error;
  std::string mnt = scratch / "m";
  EXPECT_EQ(ListDir(mnt), (std::vector<std::string>{"aufs", "from", "kept", "opq", "plain", "to"}));
  EXPECT_EQ(ListDir(mnt + "/opq"), std::vector<std::string>{"new"});
  EXPECT_EQ(ListDir(mnt + "/aufs"), std::vector<std::string>{"new"});
  EXPECT_EQ(ListDir(mnt + "/plain"), (std::vector<std::string>{"new", "old"}));
  EXPECT_EQ(ReadFile(mnt + "/to/inside"), "inside");
  for (const char* name : {"/dev", "/wh", "/xwh", "/.wh.wh", "/aufs/.wh..wh..opq"}) {
    EXPECT_FALSE(Exists(mnt + name)) << name;
  }
  EXPECT_EQ(open((mnt + "/kept").c_str(), O_WRONLY | O_CLOEXEC), -1);
  EXPECT_EQ(errno, EROFS);
  EXPECT_EQ(umount(mnt.c_str()), 0);
}

// The kernel's overlayfs takes 500.
TEST(StackLower, ReadsAThousandLayers) {
  constexpr int kLayers = 1000;
  Scratch scratch;
  std::string options = "lowerdir=";
  for (int i = 0; i < kLayers; ++i) {
    std::string layer = scratch / std::to_string(i);
    MakeDirs(layer + "/d");
    WriteFile(layer + "/d/" + std::to_string(i), "");
    options += (i == 0 ? "" : ":") + layer;
  }
  MakeDirs(scratch / "m");
  RunResult run = RunVeneerfs({"-o", options, scratch / "m"});
  ASSERT_EQ(run.status, 0) << run.error;
  EXPECT_EQ(ListDir(scratch / "m/d").size(), static_cast<size_t>(kLayers));
  EXPECT_TRUE(Exists(scratch / "m/d/999"));
  EXPECT_FALSE(Exists(scratch / "m/d/1000"));
  EXPECT_EQ(umount((scratch / "m").c_str()), 0);
}

// Inode numbers of two filesystems may be the same: what the mount shows is one, and lasts.
TEST(StackLower, LayersOnTwoFilesystemsAreOne) {
  Scratch scratch;
  std::string mnt = scratch / "m";
  for (const char* dir : {"one", "two", "upper", "work", "m"}) MakeDirs(scratch / dir);
  ASSERT_EQ(mount("tmpfs", (scratch / "two").c_str(), "tmpfs", 0, nullptr), 0);
  for (const char* layer : {"one", "two"}) {
    std::string at = (scratch / layer) + "/";
    MakeDirs(at + "both");
    MakeDirs(at + layer);
    for (int i = 0; i < 50; ++i) WriteFile(at + layer + "/" + std::to_string(i), layer);
    WriteFile(at + "both/" + layer, layer);
    ASSERT_EQ(link((at + "both/" + layer).c_str(), (at + layer + "/linked").c_str()), 0);
  }
  std::string options = "lowerdir=" + (scratch / "one") + ":" + (scratch / "two") +
                        ",upperdir=" + (scratch / "upper") + ",workdir=" + (scratch / "work");
  std::map<std::string, ino_t> numbers;
  auto look = [&] {
    std::set<ino_t> seen;
    std::map<std::string, ino_t> now;
    for (const char* dir : {"/one", "/two", "/both"}) {
      for (const std::string& name : ListDir(mnt + dir)) {
        struct stat st = Stat(mnt + dir + "/" + name);
        EXPECT_EQ(st.st_dev, Stat(mnt).st_dev) << dir << "/" << name;
        bool linked = st.st_nlink > 1;
        EXPECT_TRUE(seen.insert(st.st_ino).second || linked) << dir << "/" << name;
        now[dir + ("/" + name)] = st.st_ino;
      }
    }
    if (numbers.empty()) numbers = now;
    EXPECT_EQ(now, numbers);
    for (const char* layer : {"one", "two"}) {
      EXPECT_EQ(now[std::string("/both/") + layer], now[std::string("/") + layer + "/linked"]);
    }
  };
  for (int round = 0; round < 2; ++round) {
    RunResult run = RunVeneerfs({"-o", options, mnt});
    ASSERT_EQ(run.status, 0) << run.error;
    look();
    for (const char* layer : {"/one/", "/two/"}) {
      AppendFile(mnt + layer + "1", "+");
      AppendFile(mnt + layer + "linked", "+");
      EXPECT_EQ(rename((mnt + layer + "2").c_str(), (mnt + layer + "x").c_str()), 0);
      EXPECT_EQ(rename((mnt + layer + "x").c_str(), (mnt + layer + "2").c_str()), 0);
    }
    look();
    ASSERT_EQ(umount(mnt.c_str()), 0);
    for (int i = 0; i < 400 && Exists(scratch / "work/lock"); ++i) usleep(5000);
  }
  EXPECT_EQ(umount((scratch / "two").c_str()), 0);
}

}  // namespace
}  // namespace veneer::fs::testing
