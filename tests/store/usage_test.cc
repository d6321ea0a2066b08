#include "store/cache_mount.h"
#include "store/disk_usage.h"
#include "store/maintenance.h"
#include "tests/store/store_fixture.h"

namespace veneer {
namespace {

using test::AddImage;
using test::MakeTar;
using test::Must;

constexpr uint64_t kBig = 1 << 20;

class UsageTest : public test::StoreTest {
 protected:
  static std::string BigTar(char what, const std::string& name = "f") {
    return MakeTar({{.path = name, .content = std::string(kBig, what)}});
  }
  Usage Measure() { return Must(MeasureUsage(store())); }
};

TEST_F(UsageTest, AnEmptyStoreUsesNothing) {
  Usage usage = Measure();
  EXPECT_EQ(usage.images + usage.objects + usage.image_bytes + usage.unreachable_bytes, 0u);
}

TEST_F(UsageTest, ShowsWhatSharingSaves) {
  // Three layers, two contents; the base is in both images.
  std::string base = BigTar('a'), same = BigTar('a', "copy"), other = BigTar('b');
  Must(AddImage(store(), {base, same}));
  Must(AddImage(store(), {base, other}));
  Usage usage = Measure();
  EXPECT_EQ(usage.images, 2u);
  EXPECT_EQ(usage.objects, 2u);
  EXPECT_EQ(usage.object_bytes, 2 * kBig);
  EXPECT_EQ(usage.layer_content_bytes, 3 * kBig);
  EXPECT_EQ(usage.image_content_bytes, 4 * kBig);
  EXPECT_GE(usage.image_bytes, usage.object_bytes) << "trees and recipes too";
  EXPECT_LT(usage.image_bytes, usage.object_bytes + kBig);
  EXPECT_EQ(usage.reclaimable_bytes, usage.image_bytes) << "no image has a container";
  EXPECT_EQ(usage.unreachable_bytes, 0u);
}

TEST_F(UsageTest, ReclaimableIsWhatNoContainerNeeds) {
  std::string base = BigTar('a');
  ImageId used = Must(AddImage(store(), {base}));
  Must(AddImage(store(), {base, BigTar('b')}));
  ASSERT_OK(store().catalog().AddContainer({.id = "c", .name = "c", .image = used}));
  std::filesystem::create_directories(PathOf("containers/c/upper"));
  std::ofstream(PathOf("containers/c/upper/f")) << std::string(kBig, 'u');
  Usage usage = Measure();
  EXPECT_EQ(usage.containers, 1u);
  EXPECT_EQ(usage.active_images, 1u);
  EXPECT_EQ(usage.active_containers, 0u) << "it is not mounted";
  EXPECT_GE(usage.container_bytes, kBig);
  EXPECT_GE(usage.reclaimable_bytes, kBig);
  EXPECT_LT(usage.reclaimable_bytes, 2 * kBig) << "the base is needed";
}

TEST_F(UsageTest, UnreachableIsWhatASweepFrees) {
  Must(AddImage(store(), {BigTar('a')}));
  std::vector<DiffId> gone = {Must(test::AddLayer(store(), BigTar('b')))};
  Must(store().chains().Open(gone));
  std::filesystem::create_directories(PathOf("ingest/dead"));
  Usage usage = Measure();
  EXPECT_GE(usage.unreachable_bytes, kBig);
  EXPECT_EQ(Must(Sweep(store())).bytes, usage.unreachable_bytes);
  EXPECT_EQ(Measure().unreachable_bytes, 0u);
}

TEST_F(UsageTest, BuildCacheIsWhatRecordsAloneHold) {
  std::string base = BigTar('a');
  Must(AddImage(store(), {base}));
  std::vector<DiffId> chain = {DiffId(Digest::Of(base)),
                               Must(test::AddLayer(store(), BigTar('b')))};
  Must(store().chains().Open(chain));
  Must(test::AddLayer(store(), BigTar('c')));
  ASSERT_OK(store().catalog().PutBuildRecord({.key = Digest::Of("k"), .layers = chain}));
  Usage usage = Measure();
  EXPECT_EQ(usage.build_records, 1u);
  EXPECT_GE(usage.build_cache_bytes, kBig);
  EXPECT_LT(usage.build_cache_bytes, 2 * kBig) << "the base is an image's";
  EXPECT_EQ(usage.build_cache_reclaimable_bytes, usage.build_cache_bytes);
  EXPECT_GE(usage.image_bytes, kBig);
  EXPECT_LT(usage.image_bytes, 2 * kBig);
  EXPECT_GE(usage.unreachable_bytes, kBig);
  EXPECT_LT(usage.unreachable_bytes, 2 * kBig);
  EXPECT_EQ(Must(Sweep(store())).bytes, usage.unreachable_bytes);
  EXPECT_EQ(Measure().build_cache_bytes, usage.build_cache_bytes);
}

TEST_F(UsageTest, CacheMountsAreBuildCacheTheirUsersHold) {
  auto write = [](const std::string& path) -> Result<> {
    std::ofstream(path + "/f") << std::string(kBig, 'm');
    return {};
  };
  auto open = [&](const char* id) {
    return Must(CacheMount::Open(store(), id, CacheMount::Sharing::kShared, write, {}));
  };
  for (const char* unused : {"unused", "neither"}) open(unused);
  CacheMount used = open("used");
  Usage usage = Measure();
  EXPECT_EQ(usage.cache_mounts, 3u);
  EXPECT_EQ(usage.active_cache_mounts, 1u);
  EXPECT_GE(usage.build_cache_bytes, 3 * kBig);
  EXPECT_GE(usage.build_cache_reclaimable_bytes, 2 * kBig);
  EXPECT_LT(usage.build_cache_reclaimable_bytes, 3 * kBig);
  EXPECT_EQ(usage.unreachable_bytes, 0u);
}

TEST_F(UsageTest, AFileWithSeveralNamesCountsOnce) {
  std::filesystem::create_directories(PathOf("containers/c"));
  std::ofstream(PathOf("containers/c/a")) << std::string(kBig, 'u');
  std::filesystem::create_hard_link(PathOf("containers/c/a"), PathOf("containers/c/b"));
  uint64_t bytes = Must(AllocatedBytes(store().root_fd(), "containers/c"));
  EXPECT_GE(bytes, kBig);
  EXPECT_LT(bytes, 2 * kBig);
  EXPECT_EQ(Must(AllocatedBytes(store().root_fd(), "nothing/here")), 0u);
}

}  // namespace
}  // namespace veneer
