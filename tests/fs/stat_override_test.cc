// Owners, modes, types and devices kept in an attribute (xattr_permissions), by root and by a
// daemon that may change none of them on the host.
#include "fs/stat_override.h"

#include <fcntl.h>
#include <grp.h>
#include <sys/mount.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "tests/fs/work_dir.h"

namespace veneer::fs::testing {
namespace {

struct stat Plain(mode_t mode) {
  struct stat st = {};
  st.st_uid = 7;
  st.st_gid = 8;
  st.st_mode = mode;
  return st;
}

TEST(StatOverrideTest, ReadsWhatOthersWrite) {
  struct stat st = Plain(S_IFREG | 0700);
  ASSERT_TRUE(StatOverride::Parse("1000:2000:4755", st));  // fuse-overlayfs
  EXPECT_EQ(st.st_uid, 1000u);
  EXPECT_EQ(st.st_gid, 2000u);
  EXPECT_EQ(st.st_mode, S_IFREG | 04755u);
  ASSERT_TRUE(StatOverride::Parse("0:0:100644", st));  // with the type in the mode
  EXPECT_EQ(st.st_mode, S_IFREG | 0644u);
  ASSERT_TRUE(StatOverride::Parse("0:5:0666:char-1-3", st));  // containers/storage
  EXPECT_EQ(st.st_mode, S_IFCHR | 0666u);
  EXPECT_EQ(st.st_rdev, makedev(1, 3));
  ASSERT_TRUE(StatOverride::Parse("0:6:0660:block-259-70000", st));
  EXPECT_EQ(st.st_mode, S_IFBLK | 0660u);
  EXPECT_EQ(st.st_rdev, makedev(259, 70000));
  struct stat dir = Plain(S_IFDIR | 0700);
  ASSERT_TRUE(StatOverride::Parse("1:2:1777:dir", dir));
  EXPECT_EQ(dir.st_mode, S_IFDIR | 01777u);
}

TEST(StatOverrideTest, WhatItIsNotChangesNothing) {
  for (const char* value :
       {"", ":", "1:2", "1:2:", "a:2:0644", "1:2:9", "1:2:0644:bogus", "1:2:0644:char-1",
        "1:2:0644:dir", "-1:2:0644", "4294967296:0:0", "1:2:0644:char-x-y", "1:2:0644:file:more"}) {
    struct stat st = Plain(S_IFREG | 0700);
    EXPECT_FALSE(StatOverride::Parse(value, st)) << value;
    EXPECT_EQ(st.st_uid, 7u) << value;
    EXPECT_EQ(st.st_mode, S_IFREG | 0700u) << value;
  }
}

TEST(StatOverrideTest, FormatIsWhatContainersStorageReads) {
  EXPECT_EQ(StatOverride::Format(Plain(S_IFREG | 04755)), "7:8:4755:file");
  EXPECT_EQ(StatOverride::Format(Plain(S_IFDIR | 0700)), "7:8:0700:dir");
  EXPECT_EQ(StatOverride::Format(Plain(S_IFLNK | 0777)), "7:8:0777:symlink");
  EXPECT_EQ(StatOverride::Format(Plain(S_IFIFO | 0)), "7:8:0000:pipe");
  struct stat device = Plain(S_IFCHR | 0666);
  device.st_rdev = makedev(1, 3);
  EXPECT_EQ(StatOverride::Format(device), "7:8:0666:char-1-3");
}

TEST(StatOverrideTest, NamesAreEscapedAndComeBack) {
  StatOverride containers(StatOverride::Form::kContainers);
  for (const char* name : {"security.capability", "user.x", "user.containers.override_stat",
                           "user.containers.override_security.capability", "trusted.x"}) {
    std::string stored = containers.StoredName(name);
    EXPECT_NE(stored, "user.containers.override_stat");
    EXPECT_EQ(containers.ShownName(stored), name) << stored;
  }
  EXPECT_EQ(containers.StoredName("security.capability"),
            "user.containers.override_security.capability");
  EXPECT_EQ(containers.ShownName("user.containers.override_stat"), std::nullopt);
  EXPECT_EQ(containers.ShownName("security.selinux"), std::nullopt);
  StatOverride none;
  EXPECT_EQ(none.StoredName("security.capability"), "security.capability");
  EXPECT_EQ(none.ShownName("user.containers.override_stat"), "user.containers.override_stat");
}

// The same rules hold whoever keeps the owners: the host (a plain directory), or the attribute.
class Overridden : public OverEachKind {
 protected:
  void Populate(const std::string& dir) override {
    WriteFile(dir + "/f", "lower");
    WriteFile(dir + "/tool", "program", 0755);
    MakeDirs(dir + "/d/below");
    ASSERT_EQ(symlink("f", (dir + "/s").c_str()), 0);
    ASSERT_EQ(mkfifo((dir + "/p").c_str(), 0640), 0);
    ASSERT_EQ(mknod((dir + "/null").c_str(), S_IFCHR | 0666, makedev(1, 3)), 0);
    for (const char* name : {"f", "d", "s", "p"}) {
      ASSERT_EQ(lchown((dir + "/" + name).c_str(), 1000, 1001), 0);
    }
    ASSERT_EQ(chmod(dir.c_str(), 0777), 0);
  }
  std::string Options() const override { return "xattr_permissions=2"; }
  void SetUp() override {
    OverEachKind::SetUp();
    ASSERT_EQ(chmod(work().scratch().c_str(), 0755), 0);
  }
  // Owner, mode and type, for messages that say it all.
  std::string Facts(const std::string& name) {
    struct stat st = Stat(At(name));
    char text[96];
    snprintf(text, sizeof text, "%u:%u %o %lu", st.st_uid, st.st_gid, st.st_mode,
             static_cast<unsigned long>(st.st_rdev));
    return text;
  }
  template <typename Body>
  int As(uid_t uid, gid_t gid, Body body) {
    pid_t child = fork();
    if (child == 0) {
      if (setgroups(0, nullptr) != 0 || setresgid(gid, gid, gid) != 0 ||
          setresuid(uid, uid, uid) != 0) {
        _exit(200);
      }
      umask(022);
      _exit(body());
    }
    int status = 0;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
  }
};

TEST_P(Overridden, NewFilesOfEveryTypeHaveTheirOwners) {
  ASSERT_EQ(As(1234, 2345,
               [&] {
                 int fd = open(At("file").c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0666);
                 if (fd < 0) return errno;
                 if (mkdir(At("dir").c_str(), 0777) != 0) return errno;
                 if (symlink("t", At("link").c_str()) != 0) return errno;
                 if (mkfifo(At("fifo").c_str(), 0666) != 0) return errno;
                 return mknod(At("sock").c_str(), S_IFSOCK | 0600, 0) == 0 ? 0 : errno;
               }),
            0);
  ASSERT_EQ(mknod(At("dev").c_str(), S_IFBLK | 0660, makedev(8, 5)), 0);
  for (int round = 0; round < 2; ++round) {
    EXPECT_EQ(Facts("file"), "1234:2345 100644 0");
    EXPECT_EQ(Facts("dir"), "1234:2345 40755 0");
    EXPECT_EQ(Facts("link"), "1234:2345 120777 0");
    EXPECT_EQ(Facts("fifo"), "1234:2345 10644 0");
    EXPECT_EQ(Facts("sock"), "1234:2345 140600 0");
    EXPECT_EQ(Facts("dev"), "0:0 60640 2053");
    work().Remount();
  }
}

TEST_P(Overridden, CopyUpKeepsEverything) {
  std::vector<const char*> names = {"f", "d", "s", "p", "null", "tool"};
  std::vector<std::string> before;
  before.reserve(names.size());
  auto facts = [&](const char* name) {
    return Facts(name) + " " + std::to_string(Stat(At(name)).st_ino);
  };
  for (const char* name : names) before.push_back(facts(name));
  for (const char* name : names) {
    timespec times[2] = {{1, 0}, {1, 0}};
    ASSERT_EQ(utimensat(AT_FDCWD, At(name).c_str(), times, AT_SYMLINK_NOFOLLOW), 0) << name;
  }
  WriteFile(At("d/below/new"), "n");
  for (int round = 0; round < 2; ++round) {
    for (size_t i = 0; i < names.size(); ++i) EXPECT_EQ(facts(names[i]), before[i]) << names[i];
    EXPECT_EQ(ReadFile(At("f")), "lower");
    work().Remount();
  }
}

TEST_P(Overridden, ChangesOfOwnerAndMode) {
  ASSERT_EQ(chmod(At("tool").c_str(), 06755), 0);
  EXPECT_EQ(Facts("tool"), "0:0 106755 0");
  ASSERT_EQ(chown(At("tool").c_str(), 5, static_cast<gid_t>(-1)), 0);
  EXPECT_EQ(Facts("tool"), "5:0 100755 0");  // setuid and setgid go
  ASSERT_EQ(chmod(At("d").c_str(), 02775), 0);
  ASSERT_EQ(chown(At("d").c_str(), 50, 60), 0);
  EXPECT_EQ(Facts("d"), "50:60 42775 0");
  ASSERT_EQ(lchown(At("s").c_str(), 70, 80), 0);
  EXPECT_EQ(Facts("s"), "70:80 120777 0");
  ASSERT_EQ(As(50, 99, [&] { return mkdir(At("d/in").c_str(), 0755) == 0 ? 0 : errno; }), 0);
  EXPECT_EQ(Facts("d/in"), "50:60 42755 0");
  work().Remount();
  EXPECT_EQ(Facts("tool"), "5:0 100755 0");
  EXPECT_EQ(Facts("d"), "50:60 42775 0");
  EXPECT_EQ(Facts("s"), "70:80 120777 0");
  EXPECT_EQ(Facts("d/in"), "50:60 42755 0");
}

TEST_P(Overridden, WritingTakesSetuidAndCapabilities) {
  ASSERT_EQ(std::system(("setcap cap_net_raw+ep '" + At("tool") + "'").c_str()), 0);
  ASSERT_NE(Xattr(At("tool"), "security.capability"), "");
  ASSERT_EQ(chmod(At("tool").c_str(), 04777), 0);
  ASSERT_NE(Xattr(At("tool"), "security.capability"), "");
  ASSERT_EQ(As(77, 77,
               [&] {
                 int fd = open(At("tool").c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
                 return fd >= 0 && write(fd, "x", 1) == 1 ? 0 : errno;
               }),
            0);
  EXPECT_EQ(Facts("tool"), "0:0 100777 0");
  EXPECT_EQ(Xattr(At("tool"), "security.capability"), "");
  ASSERT_EQ(std::system(("setcap cap_net_raw+ep '" + At("tool") + "'").c_str()), 0);
  ASSERT_EQ(chown(At("tool").c_str(), 3, 3), 0);
  EXPECT_EQ(Xattr(At("tool"), "security.capability"), "");
}

TEST_P(Overridden, PermissionsGoByWhatIsShown) {
  ASSERT_EQ(chmod(At("f").c_str(), 0600), 0);
  EXPECT_EQ(As(1000, 1001, [&] { return access(At("f").c_str(), R_OK) == 0 ? 0 : errno; }), 0);
  EXPECT_EQ(As(77, 77, [&] { return access(At("f").c_str(), R_OK) == 0 ? 0 : errno; }), EACCES);
  EXPECT_EQ(As(77, 77, [&] { return chmod(At("f").c_str(), 0777) == 0 ? 0 : errno; }), EPERM);
  EXPECT_EQ(As(1000, 1001, [&] { return chmod(At("f").c_str(), 0777) == 0 ? 0 : errno; }), 0);
  EXPECT_EQ(Facts("f"), "1000:1001 100777 0");
}

TEST_P(Overridden, LinksRenamesAndNamelessFiles) {
  ASSERT_EQ(As(1000, 1001,
               [&] {
                 int fd = open(At("").c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0666);
                 std::string path = "/proc/self/fd/" + std::to_string(fd);
                 if (fd < 0 || linkat(AT_FDCWD, path.c_str(), AT_FDCWD, At("tmp").c_str(),
                                      AT_SYMLINK_FOLLOW) != 0) {
                   return errno;
                 }
                 return 0;
               }),
            0);
  EXPECT_EQ(Facts("tmp"), "1000:1001 100644 0");
  ASSERT_EQ(link(At("s").c_str(), At("s2").c_str()), 0);
  ASSERT_EQ(lchown(At("s2").c_str(), 9, 9), 0);
  EXPECT_EQ(Facts("s"), "9:9 120777 0");
  ASSERT_EQ(rename(At("s").c_str(), At("d/s").c_str()), 0);
  ASSERT_EQ(rename(At("d").c_str(), At("e").c_str()), 0);
  ASSERT_EQ(unlink(At("f").c_str()), 0);
  ASSERT_EQ(As(8, 8, [&] { return symlink("again", At("f").c_str()) == 0 ? 0 : errno; }), 0);
  MakeDirs(At("empty"));
  ASSERT_EQ(rename(At("e/below").c_str(), At("empty").c_str()), 0);
  for (int round = 0; round < 2; ++round) {
    EXPECT_EQ(Facts("s2"), "9:9 120777 0");
    EXPECT_EQ(Facts("e/s"), "9:9 120777 0");
    EXPECT_EQ(Stat(At("s2")).st_nlink, 2u);
    EXPECT_EQ(Stat(At("s2")).st_ino, Stat(At("e/s")).st_ino);
    EXPECT_EQ(Facts("e"), "1000:1001 40755 0");
    EXPECT_EQ(Facts("f"), "8:8 120777 0");
    EXPECT_EQ(Facts("empty"), "0:0 40755 0");
    work().Remount();
  }
}

TEST_P(Overridden, UsersCannotForgeIt) {
  ASSERT_EQ(setxattr(At("f").c_str(), "user.containers.override_stat", "0:0:4777", 8, 0), 0);
  EXPECT_EQ(Facts("f"), "1000:1001 100644 0");
  EXPECT_EQ(Xattr(At("f"), "user.containers.override_stat"), "0:0:4777");
  if (plain()) return;
  work().Remount();
  EXPECT_EQ(Facts("f"), "1000:1001 100644 0");
  EXPECT_EQ(Xattr(At("f"), "user.containers.override_stat"), "0:0:4777");
  struct stat disk = Stat(work().upper() + "/f");
  EXPECT_EQ(disk.st_uid, 0u);
  EXPECT_EQ(disk.st_mode & 07000, 0u);
}

VENEER_OVER_EACH_KIND(Overridden);

class OverriddenPrivileged : public Overridden {
 protected:
  std::string Options() const override { return "xattr_permissions=1"; }
};
TEST_P(OverriddenPrivileged, KeepsItInASecurityAttribute) {
  ASSERT_EQ(chown(At("f").c_str(), 5, 6), 0);
  EXPECT_EQ(Facts("f"), "5:6 100644 0");
  EXPECT_EQ(Xattr(work().upper() + "/f", "security.fuseoverlayfs.override_stat"), "5:6:0644:file");
  EXPECT_EQ(Xattr(At("f"), "security.fuseoverlayfs.override_stat"), "");
}
VENEER_OVER_MOUNTS(OverriddenPrivileged);

// An upper of one mount is a lower of the next: containers' layers are made this way.
TEST(OverriddenLower, IsKnownByItsRoot) {
  Scratch scratch;
  for (const char* dir : {"l/sub", "u2", "w2", "m"}) MakeDirs(scratch / dir);
  auto set = [&](const std::string& name, const std::string& value) {
    ASSERT_EQ(setxattr((scratch / ("l" + name)).c_str(), "user.containers.override_stat",
                       value.data(), value.size(), 0),
              0);
  };
  for (const char* name : {"l/dev", "l/pipe", "l/link", "l/f"}) WriteFile(scratch / name, "");
  WriteFile(scratch / "l/link", "sub/target");
  set("", "10:11:0755:dir");
  set("/dev", "0:6:0640:block-8-1");
  set("/pipe", "3:3:0600:pipe");
  set("/link", "4:4:0777:symlink");
  set("/f", "5:5:4711:file");
  set("/sub", "6:6:1777:dir");
  ASSERT_EQ(
      setxattr((scratch / "l/f").c_str(), "user.containers.override_security.note", "n", 1, 0), 0);
  RunResult run = RunVeneerfs({"-o",
                               "lowerdir=" + (scratch / "l") + ",upperdir=" + (scratch / "u2") +
                                   ",workdir=" + (scratch / "w2") + ",xattr_permissions=2",
                               scratch / "m"});
  ASSERT_EQ(run.status, 0) << run.error;
  EXPECT_EQ(Stat(scratch / "m").st_uid, 10u);
  for (int round = 0; round < 2; ++round) {
    EXPECT_EQ(Stat(scratch / "m/dev").st_mode, S_IFBLK | 0640u);
    EXPECT_EQ(Stat(scratch / "m/dev").st_rdev, makedev(8, 1));
    EXPECT_EQ(Stat(scratch / "m/pipe").st_mode, S_IFIFO | 0600u);
    EXPECT_EQ(Stat(scratch / "m/f").st_mode, S_IFREG | 04711u);
    EXPECT_EQ(Stat(scratch / "m/sub").st_mode, S_IFDIR | 01777u);
    char target[64] = {};
    EXPECT_GT(readlink((scratch / "m/link").c_str(), target, sizeof target - 1), 0);
    EXPECT_STREQ(target, "sub/target");
    EXPECT_EQ(Stat(scratch / "m/link").st_uid, 4u);
    EXPECT_EQ(Xattr(scratch / "m/f", "security.note"), "n");
    EXPECT_EQ(Xattr(scratch / "m/f", "user.containers.override_stat"), "");
    for (const char* name : {"m/dev", "m/pipe", "m/f", "m/link"}) {  // copies them up
      timespec times[2] = {{1, 0}, {1, 0}};
      ASSERT_EQ(utimensat(AT_FDCWD, (scratch / name).c_str(), times, AT_SYMLINK_NOFOLLOW), 0);
    }
  }
  EXPECT_EQ(umount((scratch / "m").c_str()), 0);
  for (int i = 0; i < 1000 && Exists(scratch / "w2/lock"); ++i) usleep(5000);
}

}  // namespace
}  // namespace veneer::fs::testing
