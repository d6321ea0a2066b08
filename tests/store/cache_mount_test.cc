#include "store/cache_mount.h"

#include <sys/stat.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <latch>
#include <thread>

#include "store/base/beneath.h"
#include "tests/store/store_fixture.h"

namespace veneer {
namespace {

using Sharing = CacheMount::Sharing;
using test::Must;
using namespace std::chrono_literals;

class CacheMountTest : public test::StoreTest {
 protected:
  CacheMount Open(const std::string& id, Sharing sharing) {
    return Must(CacheMount::Open(store(), id, sharing, {}, {}));
  }
  static void Write(const CacheMount& mount, const std::string& name) {
    std::ofstream(mount.path() + "/" + name) << name;
  }
  static bool Has(const CacheMount& mount, const std::string& name) {
    return std::filesystem::exists(mount.path() + "/" + name);
  }
};

TEST_F(CacheMountTest, KeepsWhatWasWrittenForTheNextOne) {
  int fills = 0;
  auto fill = [&](const std::string& path) -> Result<> {
    ++fills;
    std::ofstream(path + "/filled") << "x";
    return {};
  };
  for (Sharing sharing : {Sharing::kShared, Sharing::kPrivate, Sharing::kLocked}) {
    CacheMount mount = Must(CacheMount::Open(store(), "id", sharing, fill, {}));
    EXPECT_TRUE(Has(mount, "filled"));
    EXPECT_EQ(Has(mount, "written"), sharing != Sharing::kShared) << "the first one";
    Write(mount, "written");
    struct stat st;
    ASSERT_EQ(stat(mount.path().c_str(), &st), 0);
    EXPECT_EQ(st.st_mode & 07777, 0755u);
  }
  EXPECT_EQ(fills, 1);
  EXPECT_FALSE(Has(Open("other", Sharing::kShared), "written"));
  auto all = Must(CacheMounts(store()));
  ASSERT_EQ(all.size(), 2u);
  const CacheMountInfo& info = all[0].id == "id" ? all[0] : all[1];
  EXPECT_EQ(info.id, "id");
  EXPECT_EQ(info.uses, 3);
  EXPECT_FALSE(info.in_use);
}

TEST_F(CacheMountTest, SharedUsersShareOneDirectory) {
  CacheMount first = Open("id", Sharing::kShared);
  CacheMount second = Open("id", Sharing::kShared);
  EXPECT_EQ(first.path(), second.path());
}

TEST_F(CacheMountTest, PrivateUsersHaveDirectoriesOfTheirOwn) {
  std::string first_path, second_path;
  {
    CacheMount first = Open("id", Sharing::kPrivate);
    CacheMount second = Open("id", Sharing::kPrivate);
    EXPECT_NE(first.path(), second.path());
    first_path = first.path();
    second_path = second.path();
  }
  // What is there and unused is used again.
  CacheMount first = Open("id", Sharing::kPrivate);
  CacheMount second = Open("id", Sharing::kPrivate);
  EXPECT_THAT((std::vector{first.path(), second.path()}),
              ::testing::UnorderedElementsAre(first_path, second_path));
}

TEST_F(CacheMountTest, SharedAndExclusiveUsersKeepApart) {
  CacheMount shared = Open("id", Sharing::kShared);
  CacheMount alone = Open("id", Sharing::kPrivate);
  EXPECT_NE(shared.path(), alone.path());
  CacheMount joined = Open("id", Sharing::kShared);
  EXPECT_EQ(joined.path(), shared.path());
}

TEST_F(CacheMountTest, SharedUsersJoinEachOtherWhereverTheyAre) {
  auto alone = std::make_unique<CacheMount>(Open("id", Sharing::kPrivate));
  CacheMount shared = Open("id", Sharing::kShared);
  ASSERT_NE(shared.path(), alone->path());
  alone.reset();
  EXPECT_EQ(Open("id", Sharing::kShared).path(), shared.path()) << "the other one is unused now";
}

TEST_F(CacheMountTest, LockedUsersWaitForEachOther) {
  auto first = std::make_unique<CacheMount>(Open("id", Sharing::kLocked));
  const std::string path = first->path();
  std::atomic<bool> opened = false;
  std::thread waiter([&] {
    CacheMount second = Open("id", Sharing::kLocked);
    opened = true;
    EXPECT_EQ(second.path(), path);
  });
  std::this_thread::sleep_for(200ms);
  EXPECT_FALSE(opened);
  first.reset();
  waiter.join();
  EXPECT_TRUE(opened);
}

TEST_F(CacheMountTest, LockedUsersWaitForSharedOnesAndMayGiveUp) {
  CacheMount shared = Open("id", Sharing::kShared);
  int asked = 0;
  auto opened = CacheMount::Open(store(), "id", Sharing::kLocked, {}, [&] { return ++asked == 3; });
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code(), ECANCELED);
  EXPECT_EQ(asked, 3);
  EXPECT_EQ(Must(CacheMounts(store())).size(), 1u);
}

TEST_F(CacheMountTest, LockedUsersTakeAnyThatIsUnused) {
  auto first = std::make_unique<CacheMount>(Open("id", Sharing::kPrivate));
  CacheMount second = Open("id", Sharing::kPrivate);
  const std::string path = first->path();
  first.reset();
  EXPECT_EQ(Open("id", Sharing::kLocked).path(), path);
}

TEST_F(CacheMountTest, OthersCountInOtherProcesses) {
  int ready[2];
  ASSERT_EQ(pipe2(ready, O_CLOEXEC), 0);
  pid_t child = Start([&](Store& mine) {
    auto mount = CacheMount::Open(mine, "id", Sharing::kPrivate, {}, {});
    if (!mount) return 1;
    (void)!write(ready[1], "x", 1);
    pause();
    return 0;
  });
  Reopen();
  char byte;
  ASSERT_EQ(read(ready[0], &byte, 1), 1);
  {
    CacheMount mine = Open("id", Sharing::kPrivate);
    EXPECT_EQ(Must(CacheMounts(store())).size(), 2u);
  }
  ASSERT_EQ(kill(child, SIGKILL), 0);
  EXPECT_TRUE(WIFSIGNALED(WaitFor(child)));
  for (const CacheMountInfo& info : Must(CacheMounts(store()))) EXPECT_FALSE(info.in_use);
  close(ready[0]);
  close(ready[1]);
}

TEST_F(CacheMountTest, ADirectoryThatCouldNotBeFilledIsNone) {
  auto fails = [](const std::string& path) -> Result<> {
    std::ofstream(path + "/half") << "x";
    return Fail(ENOSPC, "fill");
  };
  auto failed = CacheMount::Open(store(), "id", Sharing::kShared, fails, {});
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code(), ENOSPC);
  // The same by a process that was killed.
  int status = InChild([&](Store& mine) {
    auto dies = [](const std::string& path) -> Result<> {
      std::ofstream(path + "/half") << "x";
      _exit(0);
    };
    return CacheMount::Open(mine, "id", Sharing::kShared, dies, {}) ? 1 : 2;
  });
  ASSERT_EQ(status, 0);
  CacheMount mount = Open("id", Sharing::kShared);
  EXPECT_FALSE(Has(mount, "half"));
  EXPECT_EQ(Must(CacheMounts(store())).size(), 1u);
}

TEST_F(CacheMountTest, SharedUsersWaitForTheOneWhoFills) {
  std::latch filling(1), go_on(1);
  std::string path;
  std::thread first([&] {
    auto fill = [&](const std::string& to) -> Result<> {
      filling.count_down();
      go_on.wait();
      std::ofstream(to + "/filled") << "x";
      return {};
    };
    CacheMount mount = Must(CacheMount::Open(store(), "id", Sharing::kShared, fill, {}));
    path = mount.path();
  });
  filling.wait();
  int asked = 0;
  auto refuse = [](const std::string&) -> Result<> { return Fail(EIO, "filled twice"); };
  auto second = CacheMount::Open(store(), "id", Sharing::kShared, refuse, [&] {
    if (++asked == 2) go_on.count_down();
    return asked > 1000;
  });
  if (asked < 2) go_on.count_down();
  first.join();
  ASSERT_OK(second);
  EXPECT_GE(asked, 2) << "it did not wait";
  EXPECT_EQ(second->path(), path);
  EXPECT_TRUE(Has(*second, "filled"));
}

TEST_F(CacheMountTest, AnyIdIsAName) {
  for (const std::string& id :
       {std::string("../../x"), std::string(), std::string("a\xff\n"), std::string(100'000, 'x')}) {
    CacheMount mount = Open(id, Sharing::kShared);
    EXPECT_TRUE(mount.path().starts_with(root_ + "/cache-mounts/"));
    EXPECT_EQ(std::filesystem::canonical(mount.path()), mount.path());
  }
  EXPECT_EQ(Must(CacheMounts(store())).size(), 4u);
}

TEST_F(CacheMountTest, DamagedInformationIsNone) {
  {
    Open("id", Sharing::kShared);
  }
  std::string folder = Must(CacheMounts(store())).at(0).folder;
  for (const char* text : {R"({"id":"id)", R"({"id":7,"uses":"x"})", "[]", ""}) {
    std::ofstream(PathOf("cache-mounts/" + folder + "/info.json")) << text;
    EXPECT_EQ(Must(CacheMounts(store())).at(0).id, "") << text;
  }
  {
    Open("id", Sharing::kShared);
  }
  EXPECT_EQ(Must(CacheMounts(store())).at(0).id, "id");
  EXPECT_EQ(Must(CacheMounts(store())).at(0).uses, 1);
}

TEST_F(CacheMountTest, RemovalTakesTheDirectoryAndNoOther) {
  {
    Write(Open("a", Sharing::kShared), "f");
  }
  {
    Write(Open("b", Sharing::kShared), "f");
  }
  auto all = Must(CacheMounts(store()));
  ASSERT_EQ(all.size(), 2u);
  auto removed = Must(RemoveCacheMounts(store(), {all[0].folder}));
  EXPECT_THAT(removed.folders, ::testing::ElementsAre(all[0].folder));
  EXPECT_EQ(removed.bytes, all[0].bytes);
  EXPECT_GT(removed.bytes, 0u);
  EXPECT_TRUE(std::filesystem::is_empty(PathOf("ingest")));
  EXPECT_FALSE(Has(Open(all[0].id, Sharing::kShared), "f"));
  EXPECT_TRUE(Has(Open(all[1].id, Sharing::kShared), "f"));
}

}  // namespace
}  // namespace veneer
