#include "store/lease.h"

#include <sys/file.h>

#include <chrono>
#include <thread>

#include "store/directory.h"
#include "tests/store/store_fixture.h"

namespace veneer {
namespace {

using test::Must;

class LeaseTest : public test::StoreTest {
 protected:
  int root() { return store().root_fd(); }
  static DiffId Layer(const std::string& name) { return DiffId(Digest::Of(name)); }
};

TEST_F(LeaseTest, WorkersShareAndKeepASweepOut) {
  auto one = WorkLease::Shared(root());
  auto two = WorkLease::Shared(root());
  ASSERT_OK(one);
  ASSERT_OK(two);
  auto sweep = WorkLease::TryExclusive(root());
  ASSERT_FALSE(sweep);
  EXPECT_EQ(sweep.error().code(), EWOULDBLOCK);
}

TEST_F(LeaseTest, SweepMayStartWhenTheLastWorkerEnds) {
  {
    auto worker = WorkLease::Shared(root());
    ASSERT_OK(worker);
  }
  EXPECT_OK(WorkLease::TryExclusive(root()));
}

TEST_F(LeaseTest, ExclusiveWaitsForAWorker) {
  auto worker = std::make_unique<WorkLease>(Must(WorkLease::Shared(root())));
  std::atomic<bool> released = false;
  std::thread ends([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    released = true;
    worker.reset();
  });
  ASSERT_OK(WorkLease::Exclusive(root()));
  EXPECT_TRUE(released);
  ends.join();
}

TEST_F(LeaseTest, MountedChainsAreListedInLayerOrder) {
  std::vector<DiffId> first = {Layer("b"), Layer("a"), Layer("c")}, second = {Layer("a")};
  auto one = MountLease::Create(root(), first);
  auto two = MountLease::Create(root(), second);
  ASSERT_OK(one);
  ASSERT_OK(two);
  auto chains = Must(LeasedChains(root()));
  ASSERT_EQ(chains.size(), 2u);
  EXPECT_THAT(chains, ::testing::UnorderedElementsAre(first, second));
}

TEST_F(LeaseTest, EndsWithItsHolder) {
  std::vector<DiffId> layers = {Layer("a")};
  {
    auto lease = MountLease::Create(root(), layers);
    ASSERT_OK(lease);
  }
  EXPECT_TRUE(Must(LeasedChains(root())).empty());
  EXPECT_TRUE(Must(ListDirectory(root(), "leases/mounts")).empty()) << "left-over file not removed";
}

TEST_F(LeaseTest, IsHeldByAChildThatInheritsIt) {
  std::vector<DiffId> layers = {Layer("a")};
  int fds[2];
  ASSERT_EQ(pipe2(fds, O_CLOEXEC), 0);
  pid_t child;
  {
    auto lease = MountLease::Create(root(), layers);
    ASSERT_OK(lease);
    child = fork();
    if (child == 0) {
      close(fds[1]);
      char byte;
      (void)!read(fds[0], &byte, 1);  // until the parent lets go
      _exit(0);
    }
  }
  EXPECT_EQ(Must(LeasedChains(root())).size(), 1u);
  close(fds[1]);
  EXPECT_EQ(WaitFor(child), 0);
  close(fds[0]);
  EXPECT_TRUE(Must(LeasedChains(root())).empty());
}

}  // namespace
}  // namespace veneer
