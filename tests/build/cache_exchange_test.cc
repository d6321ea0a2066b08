#include "tools/build/cache/cache_exchange.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <tuple>

#include "store/image_load.h"
#include "store/image_save.h"
#include "tests/store/store_fixture.h"

namespace veneer::build {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using test::AddLayer;
using test::MakeTar;
using test::Must;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::string ErrorOf(const std::string& text, bool is_export) {
  const auto locations = ParseCacheLocations({text}, is_export);
  return locations ? "none" : locations.error().Message();
}

TEST(ParseCacheLocations, ReadsLocalOnes) {
  const auto exports = Must(ParseCacheLocations(
      {"type=local,dest=a,mode=max,ignore-error=true,compression=zstd", "type=local,dest=b"},
      true));
  ASSERT_EQ(exports.size(), 2U);
  EXPECT_EQ(exports[0].directory, "a");
  EXPECT_TRUE(exports[0].all_stages);
  EXPECT_TRUE(exports[0].ignore_error);
  EXPECT_EQ(exports[1].directory, "b");
  EXPECT_FALSE(exports[1].all_stages);
  EXPECT_FALSE(exports[1].ignore_error);
  EXPECT_THAT(Must(ParseCacheLocations({""}, true)), IsEmpty());
  EXPECT_THAT(Must(ParseCacheLocations({""}, false)), IsEmpty());
  EXPECT_EQ(Must(ParseCacheLocations({"type=local,src=c"}, false))[0].directory, "c");
}

TEST(ParseCacheLocations, RefusesTheRest) {
  EXPECT_EQ(ErrorOf("type=local", true), "local cache exporter requires dest");
  EXPECT_EQ(ErrorOf("type=local,src=", false), "local cache importer requires src");
  EXPECT_EQ(ErrorOf("type=nfs,dest=x", true), "unknown cache exporter: \"nfs\"");
  EXPECT_EQ(ErrorOf("type=nfs", false), "unknown cache importer: \"nfs\"");
  EXPECT_EQ(ErrorOf("type=local,dest=x,mode=all", true), "unknown cache export mode: all");
  EXPECT_EQ(ErrorOf("type=local,dest=x,mod=max", true),
            "unknown key \"mod\" for the local cache exporter (did you mean mode?)");
  EXPECT_EQ(ErrorOf("type=inline", true),
            "--cache-to type=inline is not supported by veneer build; use type=local");
  EXPECT_EQ(ErrorOf("type=inline", false), "none");
  EXPECT_EQ(ErrorOf("dest=x", true), "a cache needs a type: dest=x");
  for (const char* text :
       {"user/app:cache", "type=registry,ref=x", "type=gha", "type=s3", "type=azblob"}) {
    const auto locations = ParseCacheLocations({text}, false);
    ASSERT_FALSE(locations) << text;
    EXPECT_EQ(locations.error().code(), ENOTSUP) << text;
  }
}

class CacheExchangeTest : public test::StoreTest {
 protected:
  void SetUp() override {
    StoreTest::SetUp();
    base_layer_ = Must(AddLayer(store(), MakeTar({{.path = "base", .content = "base\n"}})));
    first_layer_ =
        Must(AddLayer(store(), MakeTar({{.path = "first", .content = std::string(100'000, '1')}})));
    second_layer_ = Must(AddLayer(store(), MakeTar({{.path = "second", .content = "2\n"}})));
    Put("from", {base_layer_}, "FROM base");
    Put("first", {base_layer_, first_layer_}, "RUN first");
    Put("second", {base_layer_, first_layer_, second_layer_}, "RUN \xffsecond");
    Put("scratch", {}, "WORKDIR /");
    other_ = Must(Store::Open(base_ + "/other"));
  }

  static Digest Key(const std::string& name) { return Digest::Of("key " + name); }
  void Put(const std::string& name, const std::vector<DiffId>& layers,
           const std::string& description) {
    Must(store().catalog().PutBuildRecord({.key = Key(name),
                                           .layers = layers,
                                           .description = description,
                                           .created_at = 1'700'000'000,
                                           .last_used_at = 1'700'000'001,
                                           .uses = 3}));
  }
  static std::vector<Digest> Keys(const std::vector<std::string>& names) {
    std::vector<Digest> keys;
    keys.reserve(names.size());
    for (const std::string& name : names) keys.push_back(Key(name));
    return keys;
  }
  Result<> Export(const std::vector<std::string>& names) {
    return ExportCache(store(), Keys(names), {.directory = Cache()});
  }
  Result<> Import() { return ImportCache(*other_, {.directory = Cache()}); }
  std::string Cache() const { return base_ + "/cache"; }
  std::vector<std::string> Blobs() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(Cache() + "/blobs/sha256"))
      names.push_back(entry.path().filename());
    std::sort(names.begin(), names.end());
    return names;
  }
  json Document(const std::string& path) const {
    std::ifstream in(Cache() + "/" + path);
    return json::parse(in);
  }
  json BlobOf(const json& descriptor) const {
    return Document("blobs/sha256/" + descriptor["digest"].get<std::string>().substr(7));
  }
  json Manifest() const { return BlobOf(Document("index.json")["manifests"][0]); }
  std::string PathOfLayerBlob(size_t n) const {
    return Cache() + "/blobs/sha256/" +
           Manifest()["layers"][n]["digest"].get<std::string>().substr(7);
  }
  // Nothing of what was imported is in the other store.
  void ExpectNothingImported() {
    EXPECT_THAT(Must(other_->catalog().BuildRecords()), IsEmpty());
    EXPECT_THAT(Must(other_->catalog().Layers()), IsEmpty());
    EXPECT_TRUE(fs::is_empty(base_ + "/other/ingest"));
  }

  DiffId base_layer_, first_layer_, second_layer_;
  std::unique_ptr<Store> other_;
};

TEST_F(CacheExchangeTest, WhatIsExportedCanBeImported) {
  ASSERT_OK(Export({"from", "first", "second", "scratch", "first", "unknown"}));
  ASSERT_OK(Import());
  const auto records = Must(other_->catalog().BuildRecords());
  EXPECT_EQ(records.size(), 4U);
  const auto second = Must(other_->catalog().FindBuildRecord(Key("second")));
  ASSERT_TRUE(second);
  EXPECT_EQ(second->layers, (std::vector<DiffId>{base_layer_, first_layer_, second_layer_}));
  EXPECT_EQ(second->description, "RUN \xEF\xBF\xBDsecond");
  EXPECT_EQ(second->created_at, 1'700'000'000);
  EXPECT_GT(second->last_used_at, 1'700'000'001);
  EXPECT_EQ(second->uses, 0);
  EXPECT_EQ(Must(test::TarOf(*other_, first_layer_)), Must(test::TarOf(store(), first_layer_)));
  EXPECT_TRUE(Must(other_->catalog().FindBuildRecord(Key("scratch"))));
  // What a sweep finds is needed.
  EXPECT_OK(Sweep(*other_));
  EXPECT_EQ(Must(other_->catalog().Layers()).size(), 3U);
}

TEST_F(CacheExchangeTest, TheDirectoryIsAnOciLayout) {
  ASSERT_OK(Export({"first"}));
  EXPECT_EQ(Document("oci-layout"), json({{"imageLayoutVersion", "1.0.0"}}));
  const json index = Document("index.json");
  ASSERT_EQ(index["manifests"].size(), 1U);
  const json manifest = Manifest();
  EXPECT_EQ(manifest["config"]["mediaType"], "application/vnd.veneer.buildcache.v1+json");
  ASSERT_EQ(manifest["layers"].size(), 2U);
  EXPECT_EQ(manifest["layers"][0]["mediaType"], "application/vnd.oci.image.layer.v1.tar+zstd");
  const json config = BlobOf(manifest["config"]);
  EXPECT_EQ(config["records"][0]["key"], Key("first").ToString());
  EXPECT_EQ(config["records"][0]["layers"], json({0, 1}));
  EXPECT_EQ(config["layers"][1]["diffId"], first_layer_.ToString());
  for (const std::string& name : Blobs()) {
    std::ifstream in(Cache() + "/blobs/sha256/" + name, std::ios::binary);
    const std::string content(std::istreambuf_iterator<char>(in), {});
    EXPECT_EQ(Digest::Of(content).Hex(), name);
  }
  EXPECT_LT(fs::file_size(PathOfLayerBlob(1)), 10'000U) << "layers are compressed";
  // No image, to those who look for one.
  const auto loaded = LoadLayout(*other_, Cache(), {});
  ASSERT_FALSE(loaded);
  EXPECT_THAT(loaded.error().Message(), HasSubstr("no image"));
}

TEST_F(CacheExchangeTest, ALaterExportReplacesAnEarlierOne) {
  ASSERT_OK(Export({"second"}));
  EXPECT_EQ(Blobs().size(), 5U);
  const std::string kept = PathOfLayerBlob(0);
  struct stat before = {}, after = {};
  ASSERT_EQ(stat(kept.c_str(), &before), 0);
  std::ofstream(Cache() + "/blobs/sha256/.veneer-new-0123") << "left by a crash";
  std::ofstream(Cache() + "/blobs/sha256/README") << "somebody's";
  ASSERT_OK(Export({"from"}));
  ASSERT_EQ(stat(kept.c_str(), &after), 0);
  EXPECT_EQ(before.st_ino, after.st_ino) << "a blob that is there is not written again";
  EXPECT_EQ(Blobs().size(), 4U) << "config, manifest, a layer, README";
  ASSERT_OK(Import());
  EXPECT_EQ(Must(other_->catalog().BuildRecords()).size(), 1U);
}

TEST_F(CacheExchangeTest, TheSameExportTwiceIsTheSame) {
  ASSERT_OK(Export({"second", "from"}));
  const std::vector<std::string> blobs = Blobs();
  const json index = Document("index.json");
  fs::remove_all(Cache());
  ASSERT_OK(Export({"second", "from"}));
  EXPECT_EQ(Blobs(), blobs);
  EXPECT_EQ(Document("index.json"), index);
}

TEST_F(CacheExchangeTest, ADamagedBlobIsMendedByTheNextExport) {
  ASSERT_OK(Export({"second"}));
  const std::string blob = PathOfLayerBlob(1);
  fs::permissions(blob, fs::perms::owner_all);
  FlipByte(blob, 20);
  ASSERT_OK(Export({"second"}));
  EXPECT_OK(Import());
}

TEST_F(CacheExchangeTest, AnInterruptedExportIsTakenUp) {
  ASSERT_OK(Export({"second"}));
  fs::remove(Cache() + "/index.json");
  const auto imported = Import();
  ASSERT_FALSE(imported);
  EXPECT_EQ(imported.error().code(), ENOENT);
  ASSERT_OK(Export({"first"}));
  EXPECT_EQ(Blobs().size(), 4U);
  EXPECT_OK(Import());
}

TEST_F(CacheExchangeTest, OtherDirectoriesAreLeftAlone) {
  fs::create_directories(Cache());
  std::ofstream(Cache() + "/cat.jpg") << "cat";
  auto exported = Export({"first"});
  ASSERT_FALSE(exported);
  EXPECT_EQ(exported.error().code(), ENOTEMPTY);
  EXPECT_FALSE(fs::exists(Cache() + "/oci-layout"));
  fs::remove_all(Cache());

  const ImageId image = Must(test::AddImage(store(), {MakeTar({{.path = "x", .content = "x"}})}));
  const SaveItem item{image};
  ASSERT_OK(SaveLayout(store(), {&item, 1}, Cache()));
  exported = Export({"first"});
  ASSERT_FALSE(exported);
  EXPECT_EQ(exported.error().code(), ENOTEMPTY);
  EXPECT_EQ(Blobs().size(), 3U);
  const auto imported = Import();
  ASSERT_FALSE(imported);
  EXPECT_EQ(imported.error().code(), EBADMSG);
}

TEST_F(CacheExchangeTest, ADamagedDirectoryChangesNothing) {
  ASSERT_OK(Export({"second"}));
  const auto index = Document("index.json");
  const std::string manifest =
      Cache() + "/blobs/sha256/" + index["manifests"][0]["digest"].get<std::string>().substr(7);
  const std::string config =
      Cache() + "/blobs/sha256/" + Manifest()["config"]["digest"].get<std::string>().substr(7);
  const std::vector<std::string> files = {manifest, config, PathOfLayerBlob(0), PathOfLayerBlob(2),
                                          Cache() + "/index.json"};
  for (const std::string& file : files) {
    for (const char* damage : {"flip", "cut", "gone", "pipe"}) {
      if (file.ends_with("index.json") && damage == std::string("gone")) continue;
      const std::string copy = base_ + "/copy";
      fs::rename(file, copy);
      if (damage != std::string("gone")) fs::copy_file(copy, file);
      if (damage == std::string("flip")) FlipByte(file, 0);
      if (damage == std::string("cut")) fs::resize_file(file, fs::file_size(file) / 2);
      if (damage == std::string("pipe")) {
        fs::remove(file);
        ASSERT_EQ(mkfifo(file.c_str(), 0600), 0);
      }
      const auto imported = Import();
      ASSERT_FALSE(imported) << file << " " << damage;
      EXPECT_EQ(imported.error().code(), EBADMSG) << imported.error().Message();
      EXPECT_THAT(imported.error().Message(), HasSubstr("'" + Cache() + "'"));
      ExpectNothingImported();
      fs::rename(copy, file);
    }
  }
  EXPECT_OK(Import());
}

// Rewrites the config, with all that names it.
TEST_F(CacheExchangeTest, AForgedConfigIsNotBelieved) {
  ASSERT_OK(Export({"second"}));
  const json manifest = Manifest(), config = BlobOf(manifest["config"]);
  const auto forge = [&](const json& forged) {
    const auto write = [&](const json& document) {
      const std::string text = document.dump();
      std::ofstream(Cache() + "/blobs/sha256/" + Digest::Of(text).Hex()) << text;
      return std::pair(Digest::Of(text).ToString(), text.size());
    };
    json new_manifest = manifest, index = Document("index.json");
    std::tie(new_manifest["config"]["digest"], new_manifest["config"]["size"]) = write(forged);
    std::tie(index["manifests"][0]["digest"], index["manifests"][0]["size"]) = write(new_manifest);
    std::ofstream(Cache() + "/index.json") << index.dump();
  };
  std::vector<json> forgeries(7, config);
  forgeries[0]["version"] = 2;
  forgeries[1]["records"][0]["layers"] = {0, 3};
  forgeries[2]["records"][0]["layers"] = {-1};
  forgeries[3]["records"][0]["key"] = "sha256:00";
  forgeries[4]["layers"][1]["diffId"] = base_layer_.ToString();
  forgeries[5]["layers"][0]["digest"] = "../../index.json";
  forgeries[6] = json::array();
  for (const json& forged : forgeries) {
    forge(forged);
    const auto imported = Import();
    ASSERT_FALSE(imported) << forged.dump();
    EXPECT_EQ(imported.error().code(), EBADMSG) << imported.error().Message();
    ExpectNothingImported();
  }
}

TEST_F(CacheExchangeTest, WhatTheStoreHasIsNotReadAgain) {
  ASSERT_OK(Export({"first", "second"}));
  ASSERT_OK(Import());
  ASSERT_OK(other_->catalog().UseBuildRecord(Key("first"), 1'900'000'000));
  fs::remove(PathOfLayerBlob(0));
  fs::remove(PathOfLayerBlob(1));
  ASSERT_OK(Import());
  EXPECT_EQ(Must(other_->catalog().FindBuildRecord(Key("first")))->last_used_at, 1'900'000'000);
}

TEST_F(CacheExchangeTest, AMissingDirectoryIsToldApart) {
  const auto imported = Import();
  ASSERT_FALSE(imported);
  EXPECT_EQ(imported.error().code(), ENOENT);
}

TEST_F(CacheExchangeTest, ADamagedLayerFailsTheExportAndKeepsTheFormer) {
  ASSERT_OK(Export({"from"}));
  const json index = Document("index.json");
  FlipByte(PathOf(ObjectOf("2\n")), 0);
  const auto exported = Export({"second"});
  ASSERT_FALSE(exported);
  EXPECT_EQ(exported.error().code(), EBADMSG);
  EXPECT_EQ(Document("index.json"), index);
  EXPECT_OK(Import());
}

}  // namespace
}  // namespace veneer::build
