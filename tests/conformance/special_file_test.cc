// Devices, FIFOs and sockets: of the lower, and made in the mount.
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>

#include "tests/conformance/conformance.h"

namespace veneer::fs::conformance {
namespace {

void Populate(const std::string& dir) {
  ASSERT_EQ(mkfifo((dir + "/lower_fifo").c_str(), 0640), 0);
  ASSERT_EQ(mknod((dir + "/lower_null").c_str(), S_IFCHR | 0666, makedev(1, 3)), 0);
  ASSERT_EQ(mknod((dir + "/lower_socket").c_str(), S_IFSOCK | 0600, 0), 0);
}

class SpecialFile : public Conformance {
 protected:
  void Populate(const std::string& dir) override { conformance::Populate(dir); }
};

TEST_P(SpecialFile, KeepsTypeAndNumber) {
  ASSERT_EQ(Code(fs().MakeNode("char", S_IFCHR | 0600, makedev(1, 3))), 0);
  ASSERT_EQ(Code(fs().MakeNode("block", S_IFBLK | 0600, makedev(7, 4096))), 0);
  ASSERT_EQ(Code(fs().MakeNode("fifo", S_IFIFO | 0600)), 0);
  ASSERT_EQ(Code(fs().MakeNode("socket", S_IFSOCK | 0600)), 0);
  ASSERT_EQ(Code(fs().MakeNode("file", S_IFREG | 0600)), 0);
  ASSERT_EQ(Code(fs().Chmod("lower_null", 0600)), 0);
  ASSERT_EQ(Code(fs().Chown("lower_fifo", 3, 4)), 0);
  ASSERT_EQ(Code(fs().SetTimes("lower_socket", {1, 2}, {3, 4})), 0);
  for (int round = 0; round < 2; ++round) {
    EXPECT_EQ(Stat("char").st_rdev, makedev(1, 3));
    EXPECT_EQ(Stat("block").st_rdev, makedev(7, 4096));
    EXPECT_EQ(Stat("block").st_mode, S_IFBLK | 0600u);
    EXPECT_EQ(Stat("fifo").st_mode, S_IFIFO | 0600u);
    EXPECT_EQ(Stat("socket").st_mode, S_IFSOCK | 0600u);
    EXPECT_EQ(Stat("file").st_mode, S_IFREG | 0600u);
    EXPECT_EQ(Stat("lower_null").st_rdev, makedev(1, 3));
    EXPECT_EQ(Stat("lower_null").st_mode, S_IFCHR | 0600u);
    EXPECT_EQ(Stat("lower_fifo").st_uid, 3u);
    EXPECT_EQ(Stat("lower_socket").st_mtim.tv_nsec, 4);
    Remount();
  }
}

TEST_P(SpecialFile, CanBeRenamedLinkedAndRemoved) {
  ASSERT_EQ(Code(fs().Rename("lower_null", "null")), 0);
  ASSERT_EQ(Code(fs().Link("lower_fifo", "fifo")), 0);
  ASSERT_EQ(Code(fs().Unlink("lower_socket")), 0);
  Remount();
  EXPECT_EQ(Stat("null").st_rdev, makedev(1, 3));
  EXPECT_EQ(Stat("fifo").st_nlink, 2u);
  EXPECT_EQ(Stat("fifo").st_ino, Stat("lower_fifo").st_ino);
  EXPECT_EQ(List(""), (std::vector<std::string>{"fifo", "lower_fifo", "null"}));
}

VENEER_CONFORMANCE(SpecialFile);

class SpecialFileUse : public KernelConformance {
 protected:
  void Populate(const std::string& dir) override { conformance::Populate(dir); }
};

TEST_P(SpecialFileUse, DevicesAndFifosWork) {
  ASSERT_EQ(mkfifo(At("fifo").c_str(), 0640), 0);
  for (const char* name : {"fifo", "lower_fifo"}) {
    UniqueFd both = testing::OpenFile(At(name), O_RDWR);
    ASSERT_EQ(write(both.get(), "x", 1), 1);
    char byte = 0;
    ASSERT_EQ(read(both.get(), &byte, 1), 1);
    EXPECT_EQ(byte, 'x');
  }
  UniqueFd null = testing::OpenFile(At("lower_null"), O_RDWR);
  EXPECT_EQ(write(null.get(), "x", 1), 1);
  char byte = 0;
  EXPECT_EQ(read(null.get(), &byte, 1), 0);
}

TEST_P(SpecialFileUse, SocketsConnect) {
  UniqueFd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = {}};
  ASSERT_LT(At("sock").size(), sizeof address.sun_path);
  strcpy(address.sun_path, At("sock").c_str());
  const auto* name = reinterpret_cast<sockaddr*>(&address);
  ASSERT_EQ(bind(listener.get(), name, sizeof address), 0);
  ASSERT_EQ(listen(listener.get(), 1), 0);
  EXPECT_TRUE(S_ISSOCK(Stat("sock").st_mode));
  ASSERT_EQ(chmod(At("sock").c_str(), 0600), 0);
  UniqueFd client(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(connect(client.get(), name, sizeof address), 0) << strerror(errno);
  UniqueFd other(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  EXPECT_EQ(bind(other.get(), name, sizeof address), -1);
  EXPECT_EQ(errno, EADDRINUSE);
}

VENEER_KERNEL_CONFORMANCE(SpecialFileUse);

}  // namespace
}  // namespace veneer::fs::conformance
