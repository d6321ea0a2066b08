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

// The schema as the first release made it. Not to be edited.
constexpr const char* kVersion1 = R"sql(
CREATE TABLE layers(
  diff_id BLOB PRIMARY KEY, tar_size INTEGER NOT NULL, content_size INTEGER NOT NULL, entries INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE blobs(
  digest BLOB PRIMARY KEY, size INTEGER NOT NULL, diff_id BLOB NOT NULL REFERENCES layers ON DELETE CASCADE,
  compression TEXT NOT NULL, media_type TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX blobs_by_layer ON blobs(diff_id);
CREATE TABLE images(id BLOB PRIMARY KEY, config BLOB NOT NULL, loaded_at INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE image_layers(
  image BLOB NOT NULL REFERENCES images ON DELETE CASCADE, position INTEGER NOT NULL,
  diff_id BLOB NOT NULL REFERENCES layers, PRIMARY KEY(image, position)
) WITHOUT ROWID;
CREATE INDEX image_layers_by_layer ON image_layers(diff_id);
CREATE TABLE manifests(
  digest BLOB NOT NULL, image BLOB NOT NULL REFERENCES images ON DELETE CASCADE, media_type TEXT NOT NULL,
  raw BLOB NOT NULL, PRIMARY KEY(digest, image)
) WITHOUT ROWID;
CREATE TABLE refs(name TEXT PRIMARY KEY, image BLOB NOT NULL REFERENCES images ON DELETE CASCADE) WITHOUT ROWID;
CREATE INDEX refs_by_image ON refs(image);
CREATE TABLE containers(
  id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, image BLOB NOT NULL REFERENCES images, image_name TEXT NOT NULL,
  created_at INTEGER NOT NULL, config TEXT NOT NULL, mount_path TEXT NOT NULL
) WITHOUT ROWID;
INSERT INTO layers VALUES(x'0000000000000000000000000000000000000000000000000000000000000007', 10, 5, 2);
INSERT INTO images VALUES(x'0000000000000000000000000000000000000000000000000000000000000009', 'config', 7);
INSERT INTO image_layers VALUES(x'0000000000000000000000000000000000000000000000000000000000000009', 0, x'0000000000000000000000000000000000000000000000000000000000000007');
INSERT INTO refs VALUES('docker.io/library/a:1', x'0000000000000000000000000000000000000000000000000000000000000009');
INSERT INTO containers VALUES('c', 'web', x'0000000000000000000000000000000000000000000000000000000000000009', 'a:1', 8, '{}', '');
PRAGMA user_version=1;
)sql";

TEST_F(CatalogTest, MigratesADatabaseOfTheFirstVersion) {
  store_.reset();
  for (const char* suffix : {"", "-wal", "-shm"}) unlink((PathOf("veneer.db") + suffix).c_str());
  {
    ASSERT_OK(Must(Database::Open(PathOf("veneer.db")))->Exec(kVersion1));
  }
  Reopen();
  std::string bytes(32, '\0');
  bytes.back() = 7;
  DiffId layer(Digest::FromBytes(bytes.data()));
  bytes.back() = 9;
  ImageId image(Digest::FromBytes(bytes.data()));
  auto row = Must(catalog().FindLayer(layer));
  ASSERT_TRUE(row);
  EXPECT_EQ(row->content_size, 5);
  EXPECT_EQ(Must(catalog().FindReference("docker.io/library/a:1")), image);
  EXPECT_THAT(Must(catalog().ImageLayers(image)), ::testing::ElementsAre(layer));
  auto container = Must(catalog().FindContainerByName("web"));
  ASSERT_TRUE(container);
  EXPECT_EQ(container->image_name, "a:1");
  EXPECT_OK(catalog().PutBuildRecord({.key = Digest::Of("k"), .layers = {layer}}));
  store_.reset();
  auto db = Must(Database::Open(PathOf("veneer.db")));
  auto version = Must(db->Prepare("PRAGMA user_version"));
  ASSERT_TRUE(Must(version.Step()));
  EXPECT_EQ(version.Int(0), kCatalogSchemaVersion);
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

TEST_F(CatalogTest, ABuildRecordKeepsItsChain) {
  ASSERT_OK(catalog().PutLayer(Layer("a")));
  ASSERT_OK(catalog().PutLayer(Layer("b")));
  const std::vector<DiffId> chain = {Layer("b").diff_id, Layer("a").diff_id, Layer("b").diff_id};
  ASSERT_OK(catalog().PutBuildRecord({.key = Digest::Of("k"),
                                      .layers = chain,
                                      .description = "RUN make",
                                      .created_at = 11,
                                      .last_used_at = 12,
                                      .uses = 3}));
  ASSERT_OK(catalog().PutBuildRecord({.key = Digest::Of("none")}));
  Reopen();
  auto found = Must(catalog().FindBuildRecord(Digest::Of("k")));
  ASSERT_TRUE(found);
  EXPECT_EQ(found->layers, chain);
  EXPECT_EQ(found->description, "RUN make");
  EXPECT_EQ(found->created_at, 11);
  EXPECT_EQ(found->last_used_at, 12);
  EXPECT_EQ(found->uses, 3);
  EXPECT_TRUE(Must(catalog().FindBuildRecord(Digest::Of("none")))->layers.empty());
  EXPECT_FALSE(Must(catalog().FindBuildRecord(Digest::Of("unknown"))));

  // Another result takes the place of the first.
  ASSERT_OK(catalog().PutBuildRecord({.key = Digest::Of("k"), .layers = {chain[1]}}));
  found = Must(catalog().FindBuildRecord(Digest::Of("k")));
  EXPECT_THAT(found->layers, ::testing::ElementsAre(chain[1]));
  ASSERT_OK(catalog().DeleteBuildRecord(Digest::Of("k")));
  EXPECT_FALSE(Must(catalog().FindBuildRecord(Digest::Of("k"))));
  EXPECT_EQ(Must(catalog().BuildRecords()).size(), 1u);
  EXPECT_OK(catalog().DeleteLayer(chain[1]));
}

TEST_F(CatalogTest, ABuildRecordNeedsItsLayers) {
  ASSERT_OK(catalog().PutLayer(Layer("l")));
  const std::vector<DiffId> chain = {Layer("l").diff_id, Layer("unknown").diff_id};
  EXPECT_FALSE(catalog().PutBuildRecord({.key = Digest::Of("k"), .layers = chain}));
  EXPECT_FALSE(Must(catalog().FindBuildRecord(Digest::Of("k")))) << "half a record";
  ASSERT_OK(catalog().PutBuildRecord({.key = Digest::Of("k"), .layers = {chain[0]}}));
  EXPECT_FALSE(catalog().DeleteLayer(chain[0]));
}

TEST_F(CatalogTest, UsesOfBuildRecordsAreCounted) {
  for (const char* key : {"a", "b", "c"}) {
    ASSERT_OK(catalog().PutBuildRecord({.key = Digest::Of(key), .last_used_at = 10, .uses = 1}));
  }
  const Digest used[] = {Digest::Of("b"), Digest::Of("gone"), Digest::Of("a")};
  ASSERT_OK(catalog().UseBuildRecords(used, 20));
  ASSERT_OK(catalog().InTransaction([&] { return catalog().UseBuildRecord(used[0], 30); }));
  auto records = Must(catalog().BuildRecords());
  ASSERT_EQ(records.size(), 3u);
  EXPECT_EQ(records[0].key, Digest::Of("b")) << "the most recently used first";
  EXPECT_EQ(records[0].uses, 3);
  EXPECT_EQ(records[0].last_used_at, 30);
  EXPECT_EQ(records[1].key, Digest::Of("a"));
  EXPECT_EQ(records[1].uses, 2);
  EXPECT_EQ(records[2].uses, 1);
  EXPECT_EQ(records[2].last_used_at, 10);
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
