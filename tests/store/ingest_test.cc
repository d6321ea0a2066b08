#include "store/ingest.h"

#include <dirent.h>
#include <sys/resource.h>

#include "tests/store/store_fixture.h"

namespace veneer {
namespace {

using test::AddLayer;
using test::Folder;
using test::MakeTar;
using test::Must;
using test::TarFile;

class IngestTest : public test::StoreTest {};

std::string SmallTar() {
  return MakeTar({Folder("etc/"),
                  {.path = "etc/hostname", .content = "box\n"},
                  {.path = "etc/motd", .content = std::string(5000, 'm')},
                  {.path = "etc/link", .content = "", .hard_link = "etc/motd"},
                  {.path = "etc/.wh.gone", .content = ""}});
}

TEST_F(IngestTest, PublishedLayerHasItsTreeAndItsTar) {
  std::string tar = SmallTar();
  DiffId id = Must(AddLayer(store(), tar));
  EXPECT_EQ(id.digest, Digest::Of(tar));
  EXPECT_TRUE(Must(test::TarOf(store(), id)) == tar);

  auto row = Must(store().catalog().FindLayer(id));
  ASSERT_TRUE(row);
  EXPECT_EQ(row->tar_size, static_cast<int64_t>(tar.size()));
  EXPECT_EQ(row->content_size, 5004);
  auto tree = Must(store().layers().OpenTree(id));
  auto etc = Must(tree->Lookup(tree::kRootIno, "etc"));
  ASSERT_TRUE(etc);
  auto motd = Must(tree->Lookup(etc->ino, "motd"));
  ASSERT_TRUE(motd);
  EXPECT_EQ(Must(tree->Get(motd->ino)).object, ObjectOf(std::string(5000, 'm')));
  EXPECT_EQ(Must(tree->Get(motd->ino)).nlink, 2u);
  auto gone = Must(tree->Lookup(etc->ino, "gone"));
  ASSERT_TRUE(gone);
  EXPECT_EQ(gone->type, DT_WHT);
}

TEST_F(IngestTest, PublishingALayerTwiceChangesNothing) {
  DiffId id = Must(AddLayer(store(), SmallTar()));
  auto before = FilesIn(".");
  EXPECT_EQ(Must(AddLayer(store(), SmallTar())), id);
  EXPECT_EQ(FilesIn("."), before);
  EXPECT_EQ(Must(store().catalog().Layers()).size(), 1u);
}

TEST_F(IngestTest, ASessionThatIsNotPublishedLeavesNothing) {
  {
    auto session = Must(IngestSession::Begin(store()));
    std::string tar = SmallTar();
    test::StringSource source(tar);
    ASSERT_OK(IngestLayerTar(*session, source));
    EXPECT_TRUE(FilesIn("objects").empty());
    EXPECT_TRUE(FilesIn("layers").empty());
  }
  EXPECT_TRUE(FilesIn("ingest").empty());
  EXPECT_TRUE(FilesIn("objects").empty());
}

TEST_F(IngestTest, ADamagedTarIsRefusedAndLeavesNothing) {
  std::string tar = SmallTar();
  for (const std::string& bad : {tar.substr(0, 700), "no tar at all " + std::string(600, 'x')}) {
    auto added = AddLayer(store(), bad);
    ASSERT_FALSE(added);
    EXPECT_EQ(added.error().code(), EBADMSG) << added.error().Message();
  }
  EXPECT_TRUE(FilesIn("objects").empty());
  EXPECT_TRUE(Must(store().catalog().Layers()).empty());
}

TEST_F(IngestTest, ALayerThatOnlyChangesOwnersAddsNoContent) {
  std::vector<TarFile> files;
  files.reserve(20);
  for (int i = 0; i < 20; ++i) {
    files.push_back({.path = "f" + std::to_string(i), .content = std::string(10000 + i, 'x')});
  }
  Must(AddLayer(store(), MakeTar(files)));
  auto before = FilesIn("objects");
  EXPECT_EQ(before.size(), 20u);
  for (TarFile& file : files) file.uid = 1000;
  std::string chowned = MakeTar(files);
  DiffId id = Must(AddLayer(store(), chowned));
  EXPECT_EQ(FilesIn("objects"), before);
  EXPECT_TRUE(Must(test::TarOf(store(), id)) == chowned);
}

TEST_F(IngestTest, OneContentUnderManyNamesIsOneObject) {
  Must(AddLayer(store(), MakeTar({{.path = "a", .content = "same"},
                                  {.path = "b", .content = "same"},
                                  {.path = "a", .content = "same"}})));
  EXPECT_EQ(FilesIn("objects").size(), 1u);
}

TEST_F(IngestTest, ASparseFileIsStoredSparse) {
  constexpr int64_t kSize = 48 << 20;
  std::string data(8192, 'd');
  std::string tar = MakeTar({{.path = "disk", .content = data, .size = kSize, .data_at = 4 << 20}});
  ASSERT_LT(tar.size(), size_t{1} << 20) << "the test's tar is not sparse";
  DiffId id = Must(AddLayer(store(), tar));
  auto objects = FilesIn("objects");
  ASSERT_EQ(objects.size(), 1u);
  struct stat st;
  ASSERT_EQ(stat(PathOf(objects[0]).c_str(), &st), 0);
  EXPECT_EQ(st.st_size, kSize);
  EXPECT_LT(st.st_blocks * 512, 256 << 10);
  EXPECT_TRUE(Must(test::TarOf(store(), id)) == tar);
}

TEST_F(IngestTest, ProcessesMayIngestTheSameLayerAtOnce) {
  std::vector<TarFile> files;
  files.reserve(300);
  for (int i = 0; i < 300; ++i) {
    files.push_back(
        {.path = "f" + std::to_string(i), .content = std::string(100, 'x') + std::to_string(i)});
  }
  std::string tar = MakeTar(files);
  std::vector<pid_t> children;
  children.reserve(3);
  for (int i = 0; i < 3; ++i) {
    children.push_back(Start([&](Store& mine) {
      for (int round = 0; round < 3; ++round)
        if (!AddLayer(mine, tar)) return 1;
      return 0;
    }));
  }
  for (pid_t child : children) EXPECT_EQ(WaitFor(child), 0);
  Reopen();
  DiffId id(Digest::Of(tar));
  EXPECT_TRUE(Must(test::TarOf(store(), id)) == tar);
  EXPECT_TRUE(Must(Check(store(), true, {})).problems.empty());
  EXPECT_EQ(FilesIn("objects").size(), 300u);
  EXPECT_EQ(FilesIn("layers").size(), 2u) << "one tree and one recipe";
  EXPECT_TRUE(FilesIn("ingest").empty());
}

// A tar of `count` small files in directories of a hundred, made as it is read.
class GeneratedTar : public ByteSource {
 public:
  explicit GeneratedTar(int count) : count_(count) {}
  Result<std::string_view> Next() override {
    if (ended_) return std::string_view();
    std::vector<TarFile> files;
    for (int i = 0; i < 500 && next_ < count_; ++i, ++next_) {
      files.push_back(
          {.path = "usr/share/d" + std::to_string(next_ / 100) + "/file-" + std::to_string(next_),
           .content = std::to_string(next_ % 1000)});
    }
    ended_ = files.empty();
    piece_ = MakeTar(files);
    if (!ended_) piece_.resize(piece_.size() - 1024);  // the end marker comes once
    return piece_;
  }

 private:
  const int count_;
  int next_ = 0;
  bool ended_ = false;
  std::string piece_;
};

TEST_F(IngestTest, MemoryStaysBoundedForManyEntries) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "a sanitizer's own memory would be measured";
#endif
  int status = InChild([](Store& mine) {
    auto session = IngestSession::Begin(mine);
    if (!session) return 1;
    GeneratedTar tar(200000);
    auto layer = IngestLayerTar(**session, tar);
    if (!layer || layer->row.entries < 200000) return 2;
    if (!(*session)->Publish(std::span(&*layer, 1), [] { return Result<>(); })) return 3;
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    if (usage.ru_maxrss < 128 * 1024) return 0;
    std::fprintf(stderr, "used %ld KiB\n", usage.ru_maxrss);
    return 4;
  });
  EXPECT_EQ(status, 0) << "exit status " << WEXITSTATUS(status);
}

}  // namespace
}  // namespace veneer
