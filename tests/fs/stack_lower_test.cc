// What other programs leave in the layers of a directory stack.
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/xattr.h>

#include <cstring>

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

}  // namespace
}  // namespace veneer::fs::testing
