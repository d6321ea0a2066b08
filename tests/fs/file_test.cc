// Files of all types and states: nameless, temporary, special, sparse, and who owns what is made.
#include <fcntl.h>
#include <grp.h>
#include <sys/fsuid.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#include <cstring>

#include "tests/fs/work_dir.h"

namespace veneer::fs::testing {
namespace {

class File : public OverEachKind {
 protected:
  void Populate(const std::string& dir) override {
    WriteFile(dir + "/f", "lower");
    MakeDirs(dir + "/shared");
    ASSERT_EQ(chown((dir + "/shared").c_str(), 0, 777), 0);
    ASSERT_EQ(chmod((dir + "/shared").c_str(), 02777), 0);
    ASSERT_EQ(chmod(dir.c_str(), 0777), 0);
    WriteFile(dir + "/suid", "program");
    ASSERT_EQ(chown((dir + "/suid").c_str(), 1000, 1000), 0);
    ASSERT_EQ(chmod((dir + "/suid").c_str(), 06755), 0);
    {
      UniqueFd sparse = OpenFile(dir + "/sparse", O_RDWR | O_CREAT);
      ASSERT_EQ(pwrite(sparse.get(), "x", 1, 8 << 20), 1);
    }
    MakeDirs(dir + "/acl");
    // user::rwx,user:1234:rwx,group::r-x,mask::rwx,other::---, as a default ACL
    const unsigned char acl[] = {2,   0,   0,   0,    1,   0,    7,    0,   255, 255, 255,
                                 255, 2,   0,   7,    0,   0xd2, 4,    0,   0,   4,   0,
                                 5,   0,   255, 255,  255, 255,  0x10, 0,   7,   0,   255,
                                 255, 255, 255, 0x20, 0,   0,    0,    255, 255, 255, 255};
    ASSERT_EQ(setxattr((dir + "/acl").c_str(), "system.posix_acl_default", acl, sizeof acl, 0), 0);
  }
  // Runs `body` in a child as an ordinary user, with the usual umask; its result is the exit
  // status.
  template <typename Body>
  int AsUser(uid_t uid, Body body) {
    pid_t child = fork();
    if (child == 0) {
      umask(022);
      if (setgroups(0, nullptr) != 0 || setgid(uid) != 0 || setuid(uid) != 0) _exit(99);
      _exit(body());
    }
    int status = 0;
    waitpid(child, &status, 0);
    return WEXITSTATUS(status);
  }
};

TEST_P(File, UnlinkedFileIsStillUsable) {
  UniqueFd reader = OpenFile(At("f"), O_RDONLY);
  UniqueFd writer = OpenFile(At("suid"), O_RDWR);
  ASSERT_EQ(unlink(At("f").c_str()), 0);
  ASSERT_EQ(unlink(At("suid").c_str()), 0);
  EXPECT_EQ(ReadFd(reader.get()), "lower");
  ASSERT_EQ(pwrite(writer.get(), "PRO", 3, 0), 3);
  EXPECT_EQ(ReadFd(writer.get()), "PROgram");
  struct stat st = {};
  ASSERT_EQ(fstat(reader.get(), &st), 0);
  EXPECT_EQ(st.st_nlink, 0u);
  ASSERT_EQ(fstat(writer.get(), &st), 0);
  EXPECT_EQ(st.st_nlink, 0u);
  ASSERT_EQ(fchmod(reader.get(), 0400), 0);
  ASSERT_EQ(ftruncate(writer.get(), 2), 0);
  ASSERT_EQ(fstat(reader.get(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777, 0400u);
  EXPECT_EQ(ReadFd(reader.get()), "lower");
  WriteFile(At("f"), "another");
  EXPECT_EQ(ReadFd(reader.get()), "lower");
}

TEST_P(File, TemporaryFilesGetNames) {
  UniqueFd fd = OpenFile(work().path(), O_TMPFILE | O_RDWR, 0600);
  ASSERT_EQ(write(fd.get(), "tmp", 3), 3);
  std::string magic = "/proc/self/fd/" + std::to_string(fd.get());
  ASSERT_EQ(unlink(At("f").c_str()), 0);
  ASSERT_EQ(linkat(AT_FDCWD, magic.c_str(), AT_FDCWD, At("f").c_str(), AT_SYMLINK_FOLLOW), 0);
  EXPECT_EQ(ReadFile(At("f")), "tmp");
  ASSERT_EQ(pwrite(fd.get(), "T", 1, 0), 1);
  EXPECT_EQ(ReadFile(At("f")), "Tmp");
  EXPECT_EQ(Stat(At("f")).st_nlink, 1u);
}

TEST_P(File, SpecialFiles) {
  ASSERT_EQ(mkfifo(At("fifo").c_str(), 0640), 0);
  ASSERT_EQ(mknod(At("dev").c_str(), S_IFCHR | 0600, makedev(1, 3)), 0);
  EXPECT_EQ(Stat(At("dev")).st_rdev, makedev(1, 3));
  {
    UniqueFd null = OpenFile(At("dev"), O_RDWR);
  }
  UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM, 0));
  sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = {}};
  ASSERT_LT(At("sock").size(), sizeof address.sun_path);
  strcpy(address.sun_path, At("sock").c_str());
  ASSERT_EQ(bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  EXPECT_TRUE(S_ISSOCK(Stat(At("sock")).st_mode));
  UniqueFd both = OpenFile(At("fifo"), O_RDWR);
  ASSERT_EQ(write(both.get(), "x", 1), 1);
}

TEST_P(File, NamesThatMeanSomethingAreRefused) {
  if (plain()) return;
  EXPECT_EQ(mknod(At("w").c_str(), S_IFCHR | 0600, makedev(0, 0)), -1);
  EXPECT_EQ(errno, EPERM);
  EXPECT_EQ(mkdir(At(".wh.x").c_str(), 0755), -1);
  EXPECT_EQ(errno, EPERM);
  EXPECT_EQ(rename(At("f").c_str(), At(".wh.f").c_str()), -1);
  EXPECT_EQ(errno, EPERM);
}

TEST_P(File, HolesStayHoles) {
  UniqueFd fd = OpenFile(At("sparse"), O_RDWR);
  EXPECT_EQ(lseek(fd.get(), 0, SEEK_DATA), 8 << 20);
  ASSERT_EQ(pwrite(fd.get(), "y", 1, 0), 1);
  EXPECT_EQ(lseek(fd.get(), 0, SEEK_HOLE), 4096);
  EXPECT_LT(Stat(At("sparse")).st_blocks, 100);
  EXPECT_EQ(ReadFd(fd.get()).substr(8 << 20), "x");
}

TEST_P(File, BelongsToWhoMadeIt) {
  ASSERT_EQ(AsUser(1000,
                   [&] {
                     int fd =
                         open(At("mine").c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0666);
                     bool ok = fd >= 0 && mkdir(At("shared/dir").c_str(), 0777) == 0 &&
                               symlink("x", At("shared/link").c_str()) == 0;
                     return ok ? 0 : 1;
                   }),
            0);
  struct stat mine = Stat(At("mine"));
  EXPECT_EQ(mine.st_uid, 1000u);
  EXPECT_EQ(mine.st_gid, 1000u);
  EXPECT_EQ(mine.st_mode & 07777, 0644u);
  struct stat dir = Stat(At("shared/dir"));
  EXPECT_EQ(dir.st_gid, 777u);
  EXPECT_EQ(dir.st_mode & 07777, 02755u);
  EXPECT_EQ(Stat(At("shared/link")).st_gid, 777u);
}

TEST_P(File, DefaultAclReplacesTheUmask) {
  ASSERT_EQ(unlink(At("f").c_str()), 0);  // so that one is made over a whiteout
  umask(077);
  WriteFile(At("acl/new"), "", 0666);
  ASSERT_EQ(mkdir(At("acl/dir").c_str(), 0777), 0);
  WriteFile(At("f"), "", 0666);
  umask(022);
  EXPECT_EQ(Stat(At("acl/new")).st_mode & 07777, 0660u);
  EXPECT_FALSE(Xattr(At("acl/new"), "system.posix_acl_access").empty());
  EXPECT_FALSE(Xattr(At("acl/dir"), "system.posix_acl_default").empty());
  EXPECT_EQ(Stat(At("f")).st_mode & 07777, 0600u);
}

TEST_P(File, AclByAnOutsiderOfTheGroupClearsSetgid) {
  // user::rwx,group::r-x,other::r-x
  const unsigned char acl[] = {2, 0, 0,   0,   1,   0,   7,    0, 255, 255, 255, 255, 4,   0,
                               5, 0, 255, 255, 255, 255, 0x20, 0, 5,   0,   255, 255, 255, 255};
  auto set = [&] {
    return setxattr(At("suid").c_str(), "system.posix_acl_access", acl, sizeof acl, 0) != 0;
  };
  ASSERT_EQ(chmod(At("suid").c_str(), 02755), 0);
  ASSERT_EQ(AsUser(1000, set), 0);
  EXPECT_EQ(Stat(At("suid")).st_mode & 07777, 02755u);
  ASSERT_EQ(chown(At("suid").c_str(), 1000, 777), 0);
  ASSERT_EQ(chmod(At("suid").c_str(), 02755), 0);
  ASSERT_FALSE(set());
  EXPECT_EQ(Stat(At("suid")).st_mode & 07777, 02755u);
  ASSERT_EQ(AsUser(1000, set), 0);
  EXPECT_EQ(Stat(At("suid")).st_mode & 07777, 0755u);
}

TEST_P(File, TruncatingThroughADescriptorNeedsNoPermission) {
  UniqueFd fd = OpenFile(At("f"), O_RDWR);
  ASSERT_EQ(fchmod(fd.get(), 0), 0);
  ASSERT_EQ(ftruncate(fd.get(), 3), 0);
  EXPECT_EQ(ReadFd(fd.get()), "low");
}

TEST_P(File, PermissionsAreTheKernels) {
  ASSERT_EQ(chmod(At("f").c_str(), 0600), 0);
  EXPECT_EQ(
      AsUser(1000, [&] { return open(At("f").c_str(), O_RDONLY | O_CLOEXEC) < 0 ? errno : 0; }),
      EACCES);
  EXPECT_EQ(AsUser(1000, [&] { return chmod(At("f").c_str(), 0777) != 0 ? errno : 0; }), EPERM);
}

TEST_P(File, WritingClearsSetuid) {
  auto mode = [&] { return Stat(At("suid")).st_mode & 07777; };
  ASSERT_EQ(chmod(At("suid").c_str(), 06777), 0);
  AppendFile(At("suid"), "by root");
  EXPECT_EQ(mode(), 06777u);
  ASSERT_EQ(AsUser(2000,
                   [&] {
                     int fd = open(At("suid").c_str(), O_WRONLY | O_CLOEXEC);
                     return fd >= 0 && write(fd, "x", 1) == 1 ? 0 : 1;
                   }),
            0);
  EXPECT_EQ(mode(), 0777u);
  ASSERT_EQ(chmod(At("suid").c_str(), 06777), 0);
  ASSERT_EQ(AsUser(2000, [&] { return truncate(At("suid").c_str(), 2); }), 0);
  EXPECT_EQ(mode(), 0777u);
  ASSERT_EQ(chmod(At("suid").c_str(), 06777), 0);
  ASSERT_EQ(
      AsUser(2000, [&] { return open(At("suid").c_str(), O_WRONLY | O_TRUNC | O_CLOEXEC) < 0; }),
      0);
  EXPECT_EQ(mode(), 0777u);
  ASSERT_EQ(chmod(At("suid").c_str(), 06755), 0);
  ASSERT_EQ(chown(At("suid").c_str(), 5, 5), 0);
  EXPECT_EQ(mode(), 0755u);
}

TEST_P(File, EveryWayOfWritingClearsSetuid) {
  auto after = [&](auto change) {
    EXPECT_EQ(chmod(At("suid").c_str(), 06777), 0);
    EXPECT_EQ(AsUser(2000,
                     [&] {
                       int fd = open(At("suid").c_str(), O_RDWR | O_CLOEXEC);
                       return fd >= 0 && change(fd) ? 0 : 1;
                     }),
              0);
    return Stat(At("suid")).st_mode & 07777;
  };
  EXPECT_EQ(after([](int fd) { return fallocate(fd, 0, 0, 100) == 0; }), 0777u);
  EXPECT_EQ(after([](int fd) {
              loff_t from = 0;
              loff_t to = 50;
              return copy_file_range(fd, &from, fd, &to, 4, 0) == 4;
            }),
            0777u);
  EXPECT_EQ(after([](int fd) { return pwrite(fd, "x", 1, 0) == 1; }), 0777u);
  ASSERT_EQ(chmod(At("suid").c_str(), 06755), 0);
  EXPECT_EQ(AsUser(1000, [&] { return chown(At("suid").c_str(), -1, -1); }), 0);
  EXPECT_EQ(Stat(At("suid")).st_mode & 07777, 0755u);
}

TEST_P(File, CapabilitiesAreClearedByWritingAndKeptByCopyUp) {
  const unsigned char capability[] = {1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
  ASSERT_EQ(setxattr(At("suid").c_str(), "security.capability", capability, sizeof capability, 0),
            0);
  work().Remount();
  ASSERT_EQ(chmod(At("suid").c_str(), 0700), 0);
  EXPECT_FALSE(Xattr(At("suid"), "security.capability").empty());
  {
    UniqueFd fd = OpenFile(At("suid"), O_RDWR);
  }
  EXPECT_FALSE(Xattr(At("suid"), "security.capability").empty());
  AppendFile(At("suid"), "x");
  EXPECT_TRUE(Xattr(At("suid"), "security.capability").empty());
}

VENEER_OVER_EACH_KIND(File);

}  // namespace
}  // namespace veneer::fs::testing
