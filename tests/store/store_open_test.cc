// Several Stores of one root, in one process and in others.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include "tests/store/store_fixture.h"

namespace veneer {
namespace {

using test::Must;

// A process that opens and closes a store when it is told to. It is started before this process has
// one: what SQLite knows of open files must not come along.
class OtherProcess {
 public:
  explicit OtherProcess(const std::string& path) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) std::abort();
    go_ = UniqueFd(ends[1]);
    pid_ = fork();
    if (pid_ == 0) {
      go_.Reset();
      char byte = 0;
      if (read(ends[0], &byte, 1) != 1) _exit(2);
      const bool opened = Store::Open(path).has_value();  // and closed at once
      _exit(opened ? 0 : 1);
    }
    close(ends[0]);
  }
  ~OtherProcess() {
    go_.Reset();
    if (pid_ > 0) waitpid(pid_, nullptr, 0);
  }
  // Whether it could.
  bool OpenAndClose() {
    int status = 0;
    if (pid_ < 0 || write(go_.get(), "x", 1) != 1 || waitpid(pid_, &status, 0) != pid_)
      return false;
    pid_ = -1;
    return status == 0;
  }

 private:
  UniqueFd go_;
  pid_t pid_ = -1;
};

// The last connection to a catalogue removes its log. A connection is known by its locks, which are
// the process', and which closing any descriptor of the file would end.
TEST(StoreOpen, SecondStoreOfAProcessLeavesTheFirstItsLocks) {
  std::string folder = ::testing::TempDir() + "veneer-store-XXXXXX";
  ASSERT_NE(mkdtemp(folder.data()), nullptr);
  const std::string path = folder + "/store";
  {
    OtherProcess other(path);
    const std::unique_ptr<Store> first = Must(Store::Open(path));
    const std::filesystem::path log = path + "/veneer.db-wal";
    ASSERT_TRUE(std::filesystem::exists(log));
    Must(Store::Open(path)).reset();
    ASSERT_TRUE(other.OpenAndClose());
    EXPECT_TRUE(std::filesystem::exists(log)) << "taken away from under a connection";
  }
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace veneer
