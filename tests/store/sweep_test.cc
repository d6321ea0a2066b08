#include <fcntl.h>
#include <linux/fs.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/sysmacros.h>

#include <chrono>
#include <thread>

#include "store/base/beneath.h"
#include "store/disk_usage.h"
#include "store/maintenance.h"
#include "store/step_layer.h"
#include "tests/store/store_fixture.h"

namespace veneer {
namespace {

using test::AddImage;
using test::AddLayer;
using test::MakeTar;
using test::Must;

class SweepTest : public test::StoreTest {
 protected:
  static std::string Tar(const std::string& name, const std::string& content) {
    return MakeTar({{.path = name, .content = content}});
  }
  static DiffId LayerOf(const std::string& tar) { return DiffId(Digest::Of(tar)); }
  uint64_t DiskBytes() {
    uint64_t bytes = 0;
    for (const char* folder : {"objects", "layers", "chains", "containers", "ingest"}) {
      for (const std::string& file : FilesIn(folder))
        bytes += Must(AllocatedBytes(store().root_fd(), file));
    }
    return bytes;
  }
};

TEST_F(SweepTest, RemovesWhatNoImageReaches) {
  std::string kept = Tar("a", "kept"), gone = Tar("b", "gone");
  Must(AddImage(store(), {kept}));
  DiffId removed = Must(AddLayer(store(), gone));
  uint64_t before = DiskBytes();

  SweepReport report = Must(Sweep(store()));
  EXPECT_EQ(report.layers, 1u);
  EXPECT_EQ(report.objects, 1u);
  EXPECT_GE(report.bytes, before - DiskBytes());
  EXPECT_FALSE(Must(store().catalog().FindLayer(removed)));
  EXPECT_FALSE(std::filesystem::exists(PathOf(LayerStore::FolderOf(removed))));
  EXPECT_FALSE(store().objects().Has(ObjectOf("gone")));
  EXPECT_TRUE(Must(test::TarOf(store(), LayerOf(kept))) == kept);

  report = Must(Sweep(store()));
  EXPECT_EQ(report.layers + report.objects + report.chains + report.bytes, 0u);
}

TEST_F(SweepTest, TakesTheRestWhereOneThingCannotGo) {
  Must(AddLayer(store(), Tar("b", "gone")));
  std::filesystem::create_directories(PathOf("ingest/dead"));
  const UniqueFd stuck = Must(OpenAt(store().root_fd(), "ingest/dead/f", O_WRONLY | O_CREAT, 0600));
  int flags = FS_IMMUTABLE_FL;
  ASSERT_EQ(ioctl(stuck.get(), FS_IOC_SETFLAGS, &flags), 0) << "needs root, and such a filesystem";
  EXPECT_EQ(Sweep(store()).error().code(), EPERM);
  EXPECT_FALSE(store().objects().Has(ObjectOf("gone")));
  flags = 0;
  ASSERT_EQ(ioctl(stuck.get(), FS_IOC_SETFLAGS, &flags), 0);
  EXPECT_EQ(Must(Sweep(store())).staging, 1u);
}

TEST_F(SweepTest, KeepsContentThatAKeptLayerShares) {
  std::string kept = Tar("a", "shared"), gone = Tar("b", "shared");
  Must(AddImage(store(), {kept}));
  Must(AddLayer(store(), gone));
  Must(Sweep(store()));
  EXPECT_TRUE(store().objects().Has(ObjectOf("shared")));
}

TEST_F(SweepTest, KeepsContentThatOnlyTheTarHas) {
  std::string tar = MakeTar({{.path = "a", .content = "first"}, {.path = "a", .content = "last"}});
  Must(AddImage(store(), {tar}));
  Must(Sweep(store()));
  EXPECT_TRUE(Must(test::TarOf(store(), LayerOf(tar))) == tar);
}

TEST_F(SweepTest, KeepsAFileThatIsOneHole) {
  std::string tar = MakeTar({{.path = "hole", .content = "", .size = 1 << 20, .data_at = 1 << 20}});
  Must(AddImage(store(), {tar}));
  Must(Sweep(store()));
  EXPECT_TRUE(store().objects().Has(ObjectOf(std::string(1 << 20, '\0'))));
  EXPECT_THAT(Must(Check(store(), true, {})).problems, ::testing::IsEmpty());
}

TEST_F(SweepTest, KeepsWhatALivingMountReads) {
  std::string low = Tar("a", "low"), high = Tar("b", "high");
  std::vector<DiffId> layers = {LayerOf(low), LayerOf(high)};
  ImageId image = Must(AddImage(store(), {low, high}));
  Must(store().chains().Open(layers));
  auto lease = std::make_unique<MountLease>(Must(MountLease::Create(store().root_fd(), layers)));
  ASSERT_OK(store().catalog().DeleteImage(image));

  SweepReport report = Must(Sweep(store()));
  EXPECT_EQ(report.layers + report.objects + report.chains, 0u);
  EXPECT_TRUE(Must(test::TarOf(store(), layers[0])) == low);
  EXPECT_TRUE(std::filesystem::exists(store().chains().PathOf(layers)));

  lease.reset();
  report = Must(Sweep(store()));
  EXPECT_EQ(report.layers, 2u);
  EXPECT_EQ(report.objects, 2u);
  EXPECT_GE(report.chains, 1u);
  EXPECT_TRUE(FilesIn("objects").empty());
  EXPECT_TRUE(FilesIn("layers").empty());
  EXPECT_TRUE(FilesIn("chains").empty());
}

TEST_F(SweepTest, WaitsForWhoeverWorks) {
  int ready[2];
  ASSERT_EQ(pipe2(ready, O_CLOEXEC), 0);
  pid_t child = Start([&](Store& mine) {
    auto lease = WorkLease::Shared(mine.root_fd());
    (void)!write(ready[1], "x", 1);
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    return lease ? 0 : 1;
  });
  Reopen();
  char byte;
  ASSERT_EQ(read(ready[0], &byte, 1), 1);
  auto start = std::chrono::steady_clock::now();
  ASSERT_OK(Sweep(store()));
  EXPECT_GE(std::chrono::steady_clock::now() - start, std::chrono::milliseconds(100));
  EXPECT_EQ(WaitFor(child), 0);
  close(ready[0]);
  close(ready[1]);
}

TEST_F(SweepTest, NeverTakesWhatASessionReliesOn) {
  // The session finds "content" under its name; its layer is the only one that a sweep would keep.
  DiffId old = Must(AddLayer(store(), Tar("old", "content")));
  std::string tar = Tar("new", "content");
  auto session = Must(IngestSession::Begin(store()));
  test::StringSource source(tar);
  StagedLayer layer = Must(IngestLayerTar(*session, source));
  EXPECT_EQ(Must(TryReclaim(store(), {old})).objects, 0u) << "somebody works";
  std::string config = test::MakeConfig({layer.row.diff_id});
  ASSERT_OK(session->Publish(std::span(&layer, 1), [&] {
    return store().catalog().PutImage({ImageConfig::IdOf(config), config, 0}, {layer.row.diff_id});
  }));
  session.reset();
  EXPECT_EQ(Must(Sweep(store())).layers, 1u);
  EXPECT_TRUE(Must(test::TarOf(store(), layer.row.diff_id)) == tar);
}

TEST_F(SweepTest, RemovesLeftOverStaging) {
  std::filesystem::create_directories(PathOf("ingest/dead/objects"));
  std::ofstream(PathOf("ingest/dead/objects/x")) << std::string(10000, 'x');
  SweepReport report = Must(Sweep(store()));
  EXPECT_EQ(report.staging, 1u);
  EXPECT_GE(report.bytes, 10000u);
  EXPECT_TRUE(std::filesystem::is_empty(PathOf("ingest")));
}

TEST_F(SweepTest, KeepsWhatBuildRecordsLeadTo) {
  std::string low = Tar("a", "low"), high = Tar("b", "high");
  std::vector<DiffId> layers = {Must(AddLayer(store(), low)), Must(AddLayer(store(), high))};
  Must(store().chains().Open(layers));
  const Digest key = Digest::Of("key");
  ASSERT_OK(store().catalog().PutBuildRecord({.key = key, .layers = layers}));

  SweepReport report = Must(Sweep(store()));
  EXPECT_EQ(report.layers + report.objects + report.build_records, 0u);
  EXPECT_EQ(Must(TryReclaim(store(), layers)).layers, 0u);
  EXPECT_TRUE(Must(test::TarOf(store(), layers[0])) == low);
  EXPECT_TRUE(Must(test::TarOf(store(), layers[1])) == high);
  EXPECT_TRUE(std::filesystem::exists(store().chains().PathOf(layers)));
  EXPECT_EQ(Must(store().catalog().FindBuildRecord(key))->layers, layers);

  ASSERT_OK(store().catalog().DeleteBuildRecord(key));
  report = Must(Sweep(store()));
  EXPECT_EQ(report.layers, 2u);
  EXPECT_EQ(report.objects, 2u);
  EXPECT_TRUE(FilesIn("chains").empty());
}

TEST_F(SweepTest, ForgetsBuildRecordsWhoseLayersAreDamaged) {
  DiffId lost = Must(AddLayer(store(), Tar("a", "lost")));
  DiffId good = Must(AddLayer(store(), Tar("b", "good")));
  Catalog& catalog = store().catalog();
  ASSERT_OK(catalog.PutBuildRecord({.key = Digest::Of("1"), .layers = {good}}));
  ASSERT_OK(catalog.PutBuildRecord({.key = Digest::Of("2"), .layers = {good, lost}}));
  std::filesystem::remove(PathOf(LayerStore::FolderOf(lost)) + "/recipe");
  SweepReport report = Must(Sweep(store()));
  EXPECT_EQ(report.build_records, 1u);
  EXPECT_EQ(report.layers, 1u);
  EXPECT_TRUE(Must(catalog.FindBuildRecord(Digest::Of("1"))));
  EXPECT_FALSE(Must(catalog.FindBuildRecord(Digest::Of("2"))));
  EXPECT_FALSE(Must(catalog.FindLayer(lost)));
  EXPECT_FALSE(store().objects().Has(ObjectOf("lost")));
}

TEST_F(SweepTest, TakesWhatAKilledBuildLeftAndNotWhatWasMountedInIt) {
  std::filesystem::create_directories(base_ + "/host");
  std::ofstream(base_ + "/host/precious") << "x";
  int status = InChild([&](Store& mine) {
    auto session = IngestSession::Begin(mine);
    if (!session) return 1;
    auto upper = MakeStepUpper(**session, *tree::MergedTree::Empty());
    if (!upper) return 2;
    std::string odd = upper->upper + "/odd", target = upper->upper + "/target with blank";
    if (mkdir(odd.c_str(), 0755) != 0 || mkdir((odd + "/in").c_str(), 0) != 0) return 3;
    if (mknod((upper->upper + "/gone").c_str(), S_IFCHR, makedev(0, 0)) != 0) return 4;
    if (chmod(odd.c_str(), 0) != 0 || mkdir(target.c_str(), 0755) != 0) return 5;
    // Of the same filesystem: only the list of mounts tells it from what is below the upper.
    if (mount((base_ + "/host").c_str(), target.c_str(), nullptr, MS_BIND, nullptr) != 0) return 6;
    if (mount((base_ + "/host").c_str(), target.c_str(), nullptr, MS_BIND, nullptr) != 0) return 7;
    _exit(0);  // as if killed: nothing is tidied up
  });
  ASSERT_EQ(status, 0) << "needs CAP_SYS_ADMIN";
  SweepReport report = Must(Sweep(store()));
  EXPECT_EQ(report.staging, 1u);
  EXPECT_TRUE(std::filesystem::is_empty(PathOf("ingest")));
  EXPECT_TRUE(std::filesystem::exists(base_ + "/host/precious"));
}

TEST_F(SweepTest, WaitsForTheDaemonOfAKilledBuild) {
  int ready[2];
  ASSERT_EQ(pipe2(ready, O_CLOEXEC), 0);
  const std::string upper = PathOf("ingest/dead/step-0/upper");
  std::filesystem::create_directories(upper);
  pid_t daemon = Start([&](Store&) {
    auto fd = OpenAt(AT_FDCWD, upper, O_RDONLY | O_DIRECTORY);
    if (!fd || flock(fd->get(), LOCK_EX) != 0) return 1;
    (void)!write(ready[1], "x", 1);
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    return OpenAt(fd->get(), "late", O_WRONLY | O_CREAT, 0600) ? 0 : 2;
  });
  Reopen();
  char byte;
  ASSERT_EQ(read(ready[0], &byte, 1), 1);
  EXPECT_EQ(Must(Sweep(store())).staging, 1u);
  EXPECT_EQ(WaitFor(daemon), 0) << "its upper was taken away";
  EXPECT_TRUE(std::filesystem::is_empty(PathOf("ingest")));
  close(ready[0]);
  close(ready[1]);
}

TEST_F(SweepTest, RemovesLayerFoldersWithoutARow) {
  std::string folder = PathOf(LayerStore::FolderOf(LayerOf("x")));
  std::filesystem::create_directories(folder);
  std::ofstream(folder + "/tree") << "half";
  EXPECT_EQ(Must(Sweep(store())).layers, 1u);
  EXPECT_FALSE(std::filesystem::exists(folder));
}

TEST_F(SweepTest, KeepsTheMergedTreesOfImagesOnly) {
  std::string low = Tar("a", "low"), high = Tar("b", "high");
  Must(AddImage(store(), {low, high}));
  std::vector<DiffId> all = {LayerOf(low), LayerOf(high)}, other = {LayerOf(high)};
  Must(store().chains().Open(all));
  Must(store().chains().Open(other));
  std::ofstream(PathOf("chains/new-123")) << "half";
  Must(Sweep(store()));
  EXPECT_TRUE(std::filesystem::exists(store().chains().PathOf(all)));
  EXPECT_FALSE(std::filesystem::exists(store().chains().PathOf(other)));
  EXPECT_FALSE(std::filesystem::exists(PathOf("chains/new-123")));
  EXPECT_OK(store().chains().Open(all));
}

TEST_F(SweepTest, KeepsTheBaseOfAKeptTree) {
  // One small layer on a large base: its tree is a delta on the base's.
  std::vector<test::TarFile> many;
  many.reserve(2000);
  for (int i = 0; i < 2000; ++i) {
    many.push_back({.path = "d" + std::to_string(i / 50) + "/f" + std::to_string(i),
                    .content = "c" + std::to_string(i)});
  }
  std::string low = MakeTar(many), high = Tar("b", "high");
  std::vector<DiffId> base = {LayerOf(low)}, all = {LayerOf(low), LayerOf(high)};
  Must(AddImage(store(), {low, high}));
  Must(store().chains().Open(base));
  auto built = Must(store().chains().Open(all));
  ASSERT_EQ(built->delta_count(), 1);
  Must(Sweep(store()));
  auto dir = Must(OpenAt(store().root_fd(), ChainStore::kFolder, O_RDONLY | O_DIRECTORY));
  EXPECT_OK(tree::MergedTree::Open(dir.get(), ChainIdOf(all).Hex()));
}

TEST_F(SweepTest, RemovesContainerFoldersWithoutARow) {
  ImageId image = Must(AddImage(store(), {Tar("a", "a")}));
  ASSERT_OK(store().catalog().AddContainer({.id = "kept", .name = "k", .image = image}));
  for (const char* id : {"kept", "dead", "mounted"})
    std::filesystem::create_directories(PathOf(std::string("containers/") + id + "/upper"));
  UniqueFd upper =
      Must(OpenAt(store().root_fd(), "containers/mounted/upper", O_RDONLY | O_DIRECTORY));
  ASSERT_EQ(flock(upper.get(), LOCK_EX), 0);
  EXPECT_EQ(Must(Sweep(store())).containers, 1u);
  EXPECT_TRUE(std::filesystem::exists(PathOf("containers/kept/upper")));
  EXPECT_FALSE(std::filesystem::exists(PathOf("containers/dead")));
  EXPECT_TRUE(std::filesystem::exists(PathOf("containers/mounted/upper")));
}

TEST_F(SweepTest, RemovesNoContentWhileARecipeIsDamaged) {
  std::string tar = Tar("a", "precious");
  Must(AddImage(store(), {tar}));
  FlipByte(PathOf(LayerStore::FolderOf(LayerOf(tar)) + "/recipe"), 20);
  auto swept = Sweep(store());
  ASSERT_FALSE(swept);
  EXPECT_EQ(swept.error().code(), EBADMSG);
  EXPECT_TRUE(store().objects().Has(ObjectOf("precious")));
}

TEST_F(SweepTest, ReclaimTakesWhatTheGivenLayersHeldAlone) {
  std::string kept = MakeTar({{.path = "a", .content = "shared"}});
  std::string gone = MakeTar({{.path = "a", .content = "shared"}, {.path = "b", .content = "own"}});
  std::string other = Tar("c", "other");
  Must(AddImage(store(), {kept}));
  DiffId removed = Must(AddLayer(store(), gone));
  Must(AddLayer(store(), other));  // unreachable too, but not asked for
  SweepReport report = Must(TryReclaim(store(), {removed, removed, LayerOf(kept)}));
  EXPECT_EQ(report.layers, 1u);
  EXPECT_EQ(report.objects, 1u);
  EXPECT_TRUE(store().objects().Has(ObjectOf("shared")));
  EXPECT_FALSE(store().objects().Has(ObjectOf("own")));
  EXPECT_TRUE(store().objects().Has(ObjectOf("other")));
}

TEST_F(SweepTest, ReclaimDoesNothingWhileAnotherWorks) {
  DiffId layer = Must(AddLayer(store(), Tar("a", "a")));
  auto worker = WorkLease::Shared(store().root_fd());
  ASSERT_OK(worker);
  SweepReport report = Must(TryReclaim(store(), {layer}));
  EXPECT_EQ(report.layers + report.objects, 0u);
  EXPECT_TRUE(Must(store().catalog().FindLayer(layer)));
}

}  // namespace
}  // namespace veneer
