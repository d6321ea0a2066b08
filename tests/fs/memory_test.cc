// What the daemon's memory is for: so much for each inode that the kernel knows, and given back
// when the kernel forgets them.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstring>
#include <fstream>
#include <thread>

#include "fs/control.h"
#include "fs/inode.h"
#include "fs/memory_return.h"
#include "tests/fs/work_dir.h"

namespace veneer::fs::testing {
namespace {

using std::chrono::milliseconds;

template <typename Condition>
bool Soon(Condition condition) {
  auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!condition() && std::chrono::steady_clock::now() < end) {
    std::this_thread::sleep_for(milliseconds(20));
  }
  return condition();
}

class MemoryTest : public ::testing::TestWithParam<Kind> {
 protected:
  static constexpr uint64_t kDirs = 50, kFiles = 1000;  // in each

  static void Populate(const std::string& dir) {
    for (uint64_t d = 0; d < kDirs; ++d) {
      std::string path = dir + fmt::format("/dir{:02}", d);
      MakeDirs(path);
      for (uint64_t i = 0; i < kFiles; ++i) {
        OpenFile(path + fmt::format("/file{:05}", i), O_WRONLY | O_CREAT);
      }
    }
  }
  // Bytes of the daemon that are no file's.
  static uint64_t Resident(const WorkDir& work) {
    std::ifstream status(fmt::format("/proc/{}/status", work.pid()));
    for (std::string line; std::getline(status, line);) {
      if (line.starts_with("RssAnon:")) return std::stoull(line.substr(8)) << 10;
    }
    ADD_FAILURE() << "no RssAnon";
    return 0;
  }
  static uint64_t Inodes(const WorkDir& work) {
    UniqueFd root = OpenFile(work.path(), O_RDONLY | O_DIRECTORY);
    control::Stats stats = {};
    EXPECT_EQ(ioctl(root.get(), control::kStats, &stats), 0);
    return stats.inodes;
  }
  static void Walk(const WorkDir& work) {
    for (const std::string& dir : ListDir(work.path())) {
      for (const std::string& name : ListDir(work / dir)) Stat(work / dir + "/" + name);
    }
  }
  // The kernel forgets what nobody uses of this mount when it is told its flags anew.
  static void ForgetAll(const WorkDir& work) {
    ASSERT_EQ(mount(nullptr, work.path().c_str(), nullptr, MS_REMOUNT, nullptr), 0)
        << strerror(errno);
    EXPECT_TRUE(Soon([&] { return Inodes(work) < 10; })) << Inodes(work) << " are left";
  }
};

TEST_P(MemoryTest, IsLittleForAnInodeAndGivenBackWhenItIsForgotten) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "a sanitizer's own memory would be measured";
#endif
  WorkDir work({.kind = GetParam(), .populate = Populate});
  Stat(work / "dir00");
  const uint64_t before = Resident(work);
  for (int turn = 0; turn < 2; ++turn) {
    Walk(work);
    ASSERT_GE(Inodes(work), kDirs * kFiles);
    const uint64_t grown = Resident(work) - before;
    // A directory stack also keeps where each file is.
    const uint64_t most = GetParam() == Kind::kChain ? 400 : 800;
    EXPECT_LE(grown / (kDirs * kFiles), most) << "bytes for an inode";
    ForgetAll(work);
    EXPECT_TRUE(Soon([&] { return Resident(work) < before + grown / 2; }))
        << Resident(work) << " of " << before << " + " << grown << " bytes";
  }
}

VENEER_OVER_MOUNTS(MemoryTest);

// Drives the number of inodes up and down.
class MemoryReturnTest : public ::testing::Test {
 protected:
  void Forget(uint64_t from, uint64_t to) {
    while (from > to) memory_.Left(--from);
  }
  std::atomic<int> returned_{0};
  MemoryReturn memory_{[this] { ++returned_; }};
  static constexpr uint64_t kWorthwhile = MemoryReturn::kWorthwhile;
};

TEST_F(MemoryReturnTest, ComesOnceWhenManyAreForgotten) {
  Forget(kWorthwhile * 10, kWorthwhile * 8);
  EXPECT_TRUE(Soon([&] { return returned_ == 1; }));
  std::this_thread::sleep_for(milliseconds(300));
  EXPECT_EQ(returned_, 1);
  Forget(kWorthwhile * 8, kWorthwhile * 6);
  EXPECT_TRUE(Soon([&] { return returned_ == 2; }));
}

TEST_F(MemoryReturnTest, DoesNotComeWhereNewInodesTakeThePlaceOfOthers) {
  for (uint64_t i = 0; i < kWorthwhile * 10; ++i) memory_.Left(kWorthwhile * 10 + i % 100);
  std::this_thread::sleep_for(milliseconds(300));
  EXPECT_EQ(returned_, 0);
}

TEST_F(MemoryReturnTest, DoesNotWaitForTheEndOfALongForgetting) {
  std::atomic<bool> done{false};
  std::thread forgetting([&] {
    uint64_t left = kWorthwhile * 10;
    memory_.Left(left);
    memory_.Left(left = kWorthwhile * 4);
    while (!done) {
      memory_.Left(--left);
      std::this_thread::sleep_for(milliseconds(1));
    }
  });
  EXPECT_TRUE(Soon([&] { return returned_ > 0; }));
  done = true;
  forgetting.join();
}

struct Node {
  explicit Node(uint64_t number) : key(number) {}
  const uint64_t key;
  Node* next = nullptr;
};
using Nodes = InodeChains<Node, &Node::next, &Node::key>;

TEST(InodeChains, FindWhatIsInThemWhileTheyGrowAndShrink) {
  constexpr uint64_t kMany = 10'000;
  std::vector<std::unique_ptr<Node>> nodes;
  Nodes chains;
  EXPECT_EQ(chains.Find(0), nullptr);
  for (uint64_t i = 0; i < kMany; ++i) {
    nodes.push_back(std::make_unique<Node>(i << 6));  // as in one of 64 shards
    EXPECT_FALSE(chains.Remove(nodes.back().get()));
    chains.Add(nodes.back().get());
  }
  EXPECT_EQ(chains.size(), kMany);
  EXPECT_GE(chains.buckets(), kMany);
  const size_t most = chains.buckets();
  for (uint64_t i = 0; i < kMany; ++i) {
    ASSERT_EQ(chains.Find(i << 6), nodes[i].get());
    ASSERT_EQ(chains.Find((i << 6) + 1), nullptr);
  }
  for (uint64_t i = 0; i < kMany - 10; ++i) ASSERT_TRUE(chains.Remove(nodes[i].get()));
  EXPECT_LT(chains.buckets(), most / 100);
  for (uint64_t i = 0; i < kMany; ++i) {
    ASSERT_EQ(chains.Find(i << 6), i < kMany - 10 ? nullptr : nodes[i].get());
  }
  size_t left = 0;
  for (Node* node = chains.TakeAll(); node != nullptr; node = node->next) ++left;
  EXPECT_EQ(left, 10u);
  EXPECT_EQ(chains.Find(nodes.back()->key), nullptr);
  chains.Add(nodes.back().get());
  EXPECT_EQ(chains.Find(nodes.back()->key), nodes.back().get());
}

// A number may be used again while the inode that had it is on its way out.
TEST(InodeTable, GivesANumberToOneInodeAtATimeWhileOthersEnd) {
  FdCache cache(16);
  InodeTable table(&cache);
  constexpr uint64_t kNumbers = 4;
  std::atomic<bool> wrong{false};
  auto churn = [&](unsigned seed) {
    for (unsigned i = 0; i < 20'000; ++i) {
      const uint64_t ino = 1 + (i * 7 + seed) % kNumbers;
      InodePtr inode = table.FindOrMake(ino, [&](NodeId id) {
        return std::make_shared<Inode>(table, id, ino, S_IFREG, LowerRef{});
      });
      // While one is held, all find that one.
      if (table.FindByIno(ino) != inode || inode->ino != ino) wrong = true;
      table.Hold(inode);
      const NodeId id = inode->id;
      auto found = table.Find(id);
      if (!found || *found != inode) wrong = true;
      if (found) found->reset();
      inode.reset();
      table.Forget(id, 1);
    }
  };
  std::array<std::thread, 4> threads;
  for (unsigned t = 0; t < threads.size(); ++t) threads[t] = std::thread(churn, t);
  for (std::thread& thread : threads) thread.join();
  EXPECT_FALSE(wrong);
  EXPECT_EQ(table.size(), 0u);
  for (uint64_t ino = 1; ino <= kNumbers; ++ino) EXPECT_EQ(table.FindByIno(ino), nullptr);
}

}  // namespace
}  // namespace veneer::fs::testing
