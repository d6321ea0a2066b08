#include "store/build_cache.h"

#include <ctime>

#include "store/base/beneath.h"
#include "tests/store/store_fixture.h"

namespace veneer {
namespace {

using test::AddImage;
using test::AddLayer;
using test::MakeTar;
using test::Must;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

constexpr uint64_t kBig = 1 << 20;

class BuildCache : public test::StoreTest {
 protected:
  static std::string BigTar(char what, const std::string& name = "f") {
    return MakeTar({{.path = name, .content = std::string(kBig, what)}});
  }
  DiffId Big(char what, const std::string& name = "f") {
    return Must(AddLayer(store(), BigTar(what, name)));
  }
  // A record called `name`, whose key is the name's digest.
  void Record(const std::string& name, std::vector<DiffId> layers, int64_t last_used_at) {
    EXPECT_OK(store().catalog().PutBuildRecord({.key = Digest::Of(name),
                                                .layers = std::move(layers),
                                                .description = name,
                                                .created_at = 5,
                                                .last_used_at = last_used_at,
                                                .uses = 2}));
  }
  CacheMount Mount(const std::string& id, CacheMount::Sharing sharing) {
    return Must(CacheMount::Open(store(), id, sharing, {}, {}));
  }
  static std::vector<std::string> Descriptions(const std::vector<BuildCacheEntry>& entries) {
    std::vector<std::string> all;
    all.reserve(entries.size());
    for (const BuildCacheEntry& entry : entries) all.push_back(entry.description);
    return all;
  }
  // What is removed; all the rest must still be there.
  std::vector<std::string> Prune(const BuildCachePrune& what) {
    auto before = Descriptions(Must(BuildCacheEntries(store())));
    auto removed = Descriptions(Must(PruneBuildCache(store(), what)).removed);
    auto after = Descriptions(Must(BuildCacheEntries(store())));
    after.insert(after.end(), removed.begin(), removed.end());
    EXPECT_THAT(after, ::testing::UnorderedElementsAreArray(before));
    return removed;
  }
};

TEST_F(BuildCache, ShowsRecordsAndCacheMounts) {
  DiffId base = Big('b');
  Must(AddImage(store(), {BigTar('b')}));
  Record("RUN old", {base, Big('o')}, 10);
  Record("RUN new", {base, base}, 20);
  CacheMount mount = Mount("/root/.cache", CacheMount::Sharing::kShared);
  auto entries = Must(BuildCacheEntries(store()));
  ASSERT_THAT(Descriptions(entries),
              ElementsAre("cached mount /root/.cache", "RUN new", "RUN old"));
  EXPECT_EQ(entries[0].type, "exec.cachemount");
  EXPECT_TRUE(entries[0].in_use);
  EXPECT_EQ(entries[0].uses, 1);
  EXPECT_LE(std::abs(entries[0].created_at - std::time(nullptr)), 60);
  EXPECT_EQ(entries[1].type, "regular");
  EXPECT_EQ(entries[1].id, Digest::Of("RUN new").Hex());
  EXPECT_TRUE(entries[1].shared) << "its own layer is the image's";
  EXPECT_FALSE(entries[2].shared) << "only what it stands on is the image's";
  EXPECT_GE(entries[2].bytes, kBig);
  EXPECT_LT(entries[2].bytes, 2 * kBig) << "its own layer alone";
  EXPECT_EQ(entries[2].created_at, 5);
  EXPECT_EQ(entries[2].last_used_at, 10);
  EXPECT_EQ(entries[2].uses, 2);
}

TEST_F(BuildCache, PruningAllFreesWhatUsageSays) {
  Must(AddImage(store(), {BigTar('b')}));
  std::vector<DiffId> chain = {Big('b'), Big('o')};
  Must(store().chains().Open(chain));
  Record("RUN", chain, 10);
  std::ofstream(Mount("m", CacheMount::Sharing::kPrivate).path() + "/f") << std::string(kBig, 'x');
  uint64_t bytes = Must(MeasureUsage(store())).build_cache_bytes;
  EXPECT_GE(bytes, 2 * kBig);
  BuildCachePruned pruned = Must(PruneBuildCache(store(), {}));
  EXPECT_EQ(pruned.bytes, bytes);
  EXPECT_THAT(Descriptions(pruned.removed), UnorderedElementsAre("RUN", "cached mount m"));
  EXPECT_THAT(Must(BuildCacheEntries(store())), IsEmpty());
  EXPECT_EQ(Must(MeasureUsage(store())).build_cache_bytes, 0u);
  EXPECT_FALSE(Must(store().catalog().FindLayer(chain[1])));
  EXPECT_TRUE(Must(store().catalog().FindLayer(chain[0]))) << "the image's";
  EXPECT_THAT(FilesIn("cache-mounts"), IsEmpty());
}

TEST_F(BuildCache, WhatWasBuiltUponCountsAsUsed) {
  const int64_t now = std::time(nullptr);
  DiffId base = Big('b'), step = Big('s'), other = Big('o');
  Record("parent", {base}, now - 50000);
  Record("child", {base, step}, now - 10);
  Record("stranger", {other}, now - 50000);
  Record("recent", {other, step}, now - 5000);
  EXPECT_THAT(Prune({.unused_for = 60000}), IsEmpty());
  // "recent" builds upon "stranger".
  EXPECT_THAT(Prune({.unused_for = 10000}), IsEmpty());
  EXPECT_THAT(Prune({.unused_for = 2000}), ElementsAre("recent", "stranger"));
  EXPECT_THAT(Prune({.unused_for = 0}), ElementsAre("child", "parent"));
}

TEST_F(BuildCache, LongestUnusedGoFirstAndLeavesBeforeTheirParents) {
  DiffId a = Big('a'), b = Big('b'), c = Big('c');
  Record("parent", {a}, 10);
  Record("child", {a, b}, 10);
  Record("newest", {c}, 20);
  EXPECT_THAT(Prune({.keep_bytes = 4 * kBig}), IsEmpty());
  EXPECT_THAT(Prune({.keep_bytes = 2 * kBig + kBig / 2}), ElementsAre("child"));
  EXPECT_THAT(Prune({.keep_bytes = kBig / 2}), ElementsAre("parent", "newest"));
}

TEST_F(BuildCache, RemovingOneOfTwoWithTheSameContentFreesNothing) {
  Record("first", {Big('x', "one")}, 10);
  Record("second", {Big('x', "two")}, 20);
  Record("third", {Big('z')}, 30);
  // Both have to go before there is a megabyte less.
  EXPECT_THAT(Prune({.keep_bytes = kBig + kBig / 2}), ElementsAre("first", "second"));
}

TEST_F(BuildCache, WhatAnImageHasStaysWhereRemovingItFreesNothing) {
  Must(AddImage(store(), {BigTar('b')}));
  DiffId base = Big('b');
  Record("shared", {base}, 10);
  Record("own", {base, Big('o')}, 20);
  EXPECT_THAT(Prune({.keep_bytes = 2 * kBig}), IsEmpty()) << "an image's bytes are not the cache's";
  EXPECT_THAT(Prune({.keep_bytes = 0}), ElementsAre("own"));
  EXPECT_THAT(Prune({.keep_shared = true}), IsEmpty());
  EXPECT_THAT(Prune({}), ElementsAre("shared"));
}

TEST_F(BuildCache, PrunesByKindIdAndDescription) {
  Record("RUN make all", {}, 10);
  Record("COPY . .", {}, 20);
  {
    Mount("/root/.cache", CacheMount::Sharing::kShared);
  }
  EXPECT_THAT(Prune({.type = "source.local"}), IsEmpty());
  EXPECT_THAT(Prune({.id = Digest::Of("COPY . .").Hex().substr(1, 8)}), IsEmpty());
  EXPECT_THAT(Prune({.description_contains = "make"}), ElementsAre("RUN make all"));
  EXPECT_THAT(Prune({.type = "exec.cachemount"}), ElementsAre("cached mount /root/.cache"));
  EXPECT_THAT(Prune({.id = Digest::Of("COPY . .").Hex().substr(0, 8)}), ElementsAre("COPY . ."));
}

TEST_F(BuildCache, CacheMountsInUseStay) {
  {
    Mount("unused", CacheMount::Sharing::kLocked);
  }
  CacheMount shared = Mount("shared", CacheMount::Sharing::kShared);
  CacheMount locked = Mount("locked", CacheMount::Sharing::kLocked);
  EXPECT_THAT(Prune({}), ElementsAre("cached mount unused"));
  EXPECT_TRUE(std::filesystem::exists(shared.path()));
  EXPECT_TRUE(std::filesystem::exists(locked.path()));
  auto all = Must(CacheMounts(store()));
  ASSERT_EQ(all.size(), 2u);
  // Asked for by name, by somebody who saw it unused before.
  auto removed = Must(RemoveCacheMounts(store(), {all[0].folder, all[1].folder, "gone"}));
  EXPECT_THAT(removed.folders, IsEmpty());
  EXPECT_TRUE(std::filesystem::exists(shared.path()));
}

}  // namespace
}  // namespace veneer
