#include "store/catalog.h"

#include "store/sqlite.h"
#include "tests/store/store_fixture.h"

namespace veneer {
namespace {

using test::Must;

class CatalogTest : public test::StoreTest {
 protected:
  Catalog& catalog() { return store().catalog(); }
  static LayerRow Layer(const std::string& name) {
    return {.diff_id = DiffId(Digest::Of(name)), .tar_size = 10, .content_size = 5, .entries = 2};
  }
  static ImageRow Image(const std::string& name) {
    return {.id = ImageId(Digest::Of(name)), .config = name, .loaded_at = 7};
  }
};

TEST_F(CatalogTest, KeepsItsRowsWhenReopened) {
  ASSERT_OK(catalog().PutLayer(Layer("l")));
  ASSERT_OK(catalog().PutImage(Image("i"), {Layer("l").diff_id, Layer("l").diff_id}));
  Reopen();
  auto layer = Must(catalog().FindLayer(Layer("l").diff_id));
  ASSERT_TRUE(layer);
  EXPECT_EQ(layer->tar_size, 10);
  EXPECT_EQ(layer->content_size, 5);
  EXPECT_EQ(layer->entries, 2);
  EXPECT_EQ(Must(catalog().ImageLayers(Image("i").id)).size(), 2u) << "one layer twice";
}

TEST_F(CatalogTest, RefusesANewerSchema) {
  store_.reset();
  {
    auto db = Must(Database::Open(PathOf("veneer.db")));
    ASSERT_OK(db->Exec("PRAGMA user_version=1000000"));
  }
  auto opened = Store::Open(root_);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code(), EPROTO);
  EXPECT_THAT(opened.error().Message(), ::testing::HasSubstr("newer veneer"));
}

TEST_F(CatalogTest, RefusesAFileThatIsNoDatabase) {
  store_.reset();
  for (const char* suffix : {"", "-wal", "-shm"}) unlink((PathOf("veneer.db") + suffix).c_str());
  std::ofstream(PathOf("veneer.db")) << std::string(8192, 'x');
  auto opened = Store::Open(root_);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code(), EBADMSG);
}

TEST_F(CatalogTest, PutLayerTwiceIsOneRow) {
  ASSERT_OK(catalog().PutLayer(Layer("l")));
  ASSERT_OK(catalog().PutLayer(Layer("l")));
  EXPECT_EQ(Must(catalog().Layers()).size(), 1u);
}

TEST_F(CatalogTest, ALayerOfAnImageCannotBeDeleted) {
  ASSERT_OK(catalog().PutLayer(Layer("l")));
  ASSERT_OK(catalog().PutImage(Image("i"), {Layer("l").diff_id}));
  EXPECT_FALSE(catalog().DeleteLayer(Layer("l").diff_id));
  EXPECT_TRUE(Must(catalog().FindLayer(Layer("l").diff_id)));
}

TEST_F(CatalogTest, AnImageNeedsItsLayers) {
  EXPECT_FALSE(catalog().PutImage(Image("i"), {Layer("unknown").diff_id}));
}

TEST_F(CatalogTest, ReferencesAndManifestsGoWithTheirImage) {
  ASSERT_OK(catalog().PutImage(Image("i"), {}));
  ASSERT_OK(catalog().SetReference("docker.io/library/a:1", Image("i").id));
  ASSERT_OK(catalog().PutManifest({Digest::Of("m"), Image("i").id, "type", "m"}));
  ASSERT_OK(catalog().DeleteImage(Image("i").id));
  EXPECT_FALSE(Must(catalog().FindReference("docker.io/library/a:1")));
  EXPECT_TRUE(Must(catalog().Manifests(Image("i").id)).empty());
}

TEST_F(CatalogTest, BlobsGoWithTheirLayer) {
  ASSERT_OK(catalog().PutLayer(Layer("l")));
  ASSERT_OK(catalog().PutBlob({Digest::Of("b"), 3, Layer("l").diff_id, "gzip", ""}));
  ASSERT_OK(catalog().PutBlob({Digest::Of("b"), 3, Layer("l").diff_id, "gzip", "type"}));
  EXPECT_EQ(Must(catalog().FindBlob(Digest::Of("b")))->media_type, "type");
  ASSERT_OK(catalog().PutBlob({Digest::Of("b"), 3, Layer("l").diff_id, "gzip", ""}));
  EXPECT_EQ(Must(catalog().FindBlob(Digest::Of("b")))->media_type, "type") << "forgot what it knew";
  ASSERT_OK(catalog().DeleteLayer(Layer("l").diff_id));
  EXPECT_FALSE(Must(catalog().FindBlob(Digest::Of("b"))));
}

TEST_F(CatalogTest, SetReferenceMovesATag) {
  ASSERT_OK(catalog().PutImage(Image("old"), {}));
  ASSERT_OK(catalog().PutImage(Image("new"), {}));
  ASSERT_OK(catalog().SetReference("docker.io/library/a:1", Image("old").id));
  ASSERT_OK(catalog().SetReference("docker.io/library/a:1", Image("new").id));
  EXPECT_EQ(Must(catalog().FindReference("docker.io/library/a:1")), Image("new").id);
  EXPECT_TRUE(Must(catalog().ReferencesTo(Image("old").id)).empty());
  EXPECT_TRUE(Must(catalog().DeleteReference("docker.io/library/a:1")));
  EXPECT_FALSE(Must(catalog().DeleteReference("docker.io/library/a:1")));
}

TEST_F(CatalogTest, FindsImagesByPrefix) {
  ASSERT_OK(catalog().PutImage(Image("i"), {}));
  EXPECT_EQ(Must(catalog().ImagesByPrefix(Image("i").id.Hex().substr(0, 5))).size(), 1u);
  EXPECT_TRUE(Must(catalog().ImagesByPrefix("%")).empty()) << "a prefix is no pattern";
}

TEST_F(CatalogTest, AContainerNameIsTakenOnce) {
  ASSERT_OK(catalog().PutImage(Image("i"), {}));
  ContainerRow row{.id = std::string(64, 'a'), .name = "web", .image = Image("i").id};
  ASSERT_OK(catalog().AddContainer(row));
  row.id = std::string(64, 'b');
  auto again = catalog().AddContainer(row);
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code(), EEXIST);
}

TEST_F(CatalogTest, AnImageOfAContainerCannotBeDeleted) {
  ASSERT_OK(catalog().PutImage(Image("i"), {}));
  ASSERT_OK(catalog().AddContainer({.id = "c", .name = "web", .image = Image("i").id}));
  EXPECT_FALSE(catalog().DeleteImage(Image("i").id));
}

TEST_F(CatalogTest, AFailedTransactionLeavesNothing) {
  auto failed = catalog().InTransaction([&]() -> Result<> {
    TRY(catalog().PutLayer(Layer("l")));
    return Fail(ENOSPC, "test");
  });
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code(), ENOSPC);
  EXPECT_FALSE(Must(catalog().FindLayer(Layer("l").diff_id)));
}

TEST_F(CatalogTest, ProcessesWriteByTurns) {
  std::vector<pid_t> children;
  children.reserve(3);
  for (int child = 0; child < 3; ++child) {
    children.push_back(Start([child](Store& mine) {
      for (int i = 0; i < 20; ++i) {
        auto put = mine.catalog().InTransaction([&] {
          return mine.catalog().PutLayer(Layer(std::to_string(child) + "." + std::to_string(i)));
        });
        if (!put) return 1;
      }
      return 0;
    }));
  }
  for (pid_t child : children) EXPECT_EQ(WaitFor(child), 0);
  Reopen();
  EXPECT_EQ(Must(catalog().Layers()).size(), 60u);
  EXPECT_OK(catalog().IntegrityCheck());
}

}  // namespace
}  // namespace veneer
