#include "store/image_load.h"

#include "store/archive/compression.h"
#include "store/image_save.h"
#include "tests/store/store_fixture.h"

namespace veneer {
namespace {

using nlohmann::ordered_json;
using test::MakeConfig;
using test::MakeTar;
using test::Must;
using test::TarFile;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

constexpr const char* kConfigType = "application/vnd.oci.image.config.v1+json";

// An OCI archive in the making.
class Archive {
 public:
  // Adds a blob; its descriptor.
  ordered_json Blob(const std::string& content, const std::string& media_type) {
    files_.push_back({.path = "blobs/sha256/" + Digest::Of(content).Hex(), .content = content});
    return {{"mediaType", media_type},
            {"digest", Digest::Of(content).ToString()},
            {"size", content.size()}};
  }
  ordered_json Manifest(const std::string& config, const std::string& layer,
                        const char* config_type = kConfigType) {
    ordered_json manifest = {{"schemaVersion", 2}};
    manifest["config"] = Blob(config, config_type);
    manifest["layers"] = {Blob(layer, "application/vnd.oci.image.layer.v1.tar")};
    return Blob(manifest.dump(), "application/vnd.oci.image.manifest.v1+json");
  }
  // An image of one layer that is for `architecture`.
  ordered_json Image(const std::string& architecture, const std::string& comment = "") {
    std::string layer = MakeTar({{.path = "for", .content = architecture}});
    ordered_json config = ordered_json::parse(MakeConfig({DiffId(Digest::Of(layer))}, comment));
    config["architecture"] = architecture;
    ordered_json descriptor = Manifest(config.dump(), layer);
    descriptor["platform"] = {{"os", "linux"}, {"architecture", architecture}};
    return descriptor;
  }
  ordered_json Index(const std::vector<ordered_json>& descriptors) {
    return Blob(ordered_json{{"schemaVersion", 2}, {"manifests", descriptors}}.dump(),
                "application/vnd.oci.image.index.v1+json");
  }
  static ordered_json Named(ordered_json descriptor, const std::string& name) {
    descriptor["annotations"] = {{"org.opencontainers.image.ref.name", name}};
    return descriptor;
  }
  void Add(const std::string& path, const std::string& content) {
    files_.push_back({.path = path, .content = content});
  }
  // Takes the blob of a descriptor away.
  void Drop(const ordered_json& descriptor) {
    std::string hex = descriptor.at("digest").get<std::string>().substr(7);
    std::erase_if(files_, [&](const TarFile& f) { return f.path.ends_with(hex); });
  }
  std::string Tar() const { return MakeTar(files_); }
  std::string Tar(const std::vector<ordered_json>& manifests) {
    Add("index.json", ordered_json{{"schemaVersion", 2}, {"manifests", manifests}}.dump());
    return Tar();
  }

 private:
  std::vector<TarFile> files_;
};

class ImageLoadTest : public test::StoreTest {
 protected:
  Result<std::vector<LoadedImage>> Load(const std::string& tar) {
    std::string path = base_ + "/archive";
    std::ofstream(path, std::ios::binary) << tar;
    UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    return LoadArchive(store(), fd.get(), {.on_bytes = {}, .architecture = "amd64"});
  }
  // The platforms of the images that an archive loads.
  std::vector<std::string> Architectures(const std::string& tar) {
    std::vector<std::string> found;
    for (const LoadedImage& image : Must(Load(tar))) {
      auto row = Must(store().catalog().FindImage(image.id));
      found.push_back(Must(ImageConfig::Parse(row->config)).architecture());
    }
    return found;
  }
  std::string Refusal(const std::string& tar) {
    auto loaded = Load(tar);
    return loaded ? "it loads" : loaded.error().Message();
  }
  static std::string Gzip(const std::string& data) {
    test::StringSink out;
    auto compressor = Must(Compressor::Create(Compression::kGzip, 0, out));
    Must(compressor->Write(data));
    Must(compressor->Finish());
    return out.text;
  }
};

TEST_F(ImageLoadTest, SeveralNamedImagesLoadWhateverTheirPlatforms) {
  Archive archive;
  EXPECT_THAT(Architectures(archive.Tar({Archive::Named(archive.Image("amd64"), "e2e/a:1"),
                                         Archive::Named(archive.Image("arm64"), "e2e/b:1")})),
              UnorderedElementsAre("amd64", "arm64"));
}

TEST_F(ImageLoadTest, OfOneNameThisHostsPlatformLoads) {
  Archive archive;
  EXPECT_THAT(Architectures(archive.Tar({Archive::Named(archive.Image("arm64"), "e2e/a:1"),
                                         Archive::Named(archive.Image("amd64"), "e2e/a:1")})),
              ElementsAre("amd64"));
}

TEST_F(ImageLoadTest, OfUnnamedPlatformsThisHostsLoads) {
  Archive archive;
  EXPECT_THAT(Architectures(archive.Tar({archive.Image("arm64"), archive.Image("amd64")})),
              ElementsAre("amd64"));
}

TEST_F(ImageLoadTest, UnnamedImagesOfOnePlatformAllLoad) {
  Archive archive;
  EXPECT_THAT(
      Architectures(archive.Tar({archive.Image("amd64", "one"), archive.Image("amd64", "two")})),
      ElementsAre("amd64", "amd64"));
}

TEST_F(ImageLoadTest, APlatformThatIsThereWinsOverThisHostsThatIsNot) {
  for (bool nested : {false, true}) {
    Archive archive;
    ordered_json ours = archive.Image("amd64"), other = archive.Image("arm64");
    archive.Drop(ours);
    std::string tar =
        nested ? archive.Tar({Archive::Named(archive.Index({ours, other}), "e2e/a:1")})
               : archive.Tar({Archive::Named(ours, "e2e/a:1"), Archive::Named(other, "e2e/a:1")});
    EXPECT_THAT(Architectures(tar), ElementsAre("arm64")) << nested;
  }
}

TEST_F(ImageLoadTest, AnIndexOfWhichNothingIsThereIsRefused) {
  Archive archive;
  ordered_json ours = archive.Image("amd64");
  archive.Drop(ours);
  EXPECT_THAT(Refusal(archive.Tar({archive.Index({ours})})), HasSubstr("which is missing"));
}

TEST_F(ImageLoadTest, ArtifactsBesideAnImageAreSkipped) {
  Archive archive;
  ordered_json chart = archive.Manifest("{}", "no tar", "application/vnd.cncf.helm.config.v1+json");
  ordered_json signature = archive.Blob(
      R"({"artifactType":"application/vnd.dev.cosign.artifact.sig.v1+json","config":{},"layers":[]})",
      "application/vnd.oci.image.manifest.v1+json");
  ordered_json declared = archive.Blob("{}", "application/vnd.oci.image.manifest.v1+json");
  declared["artifactType"] = "text/spdx";
  EXPECT_THAT(Architectures(archive.Tar(
                  {chart, signature, declared, archive.Index({chart, archive.Image("arm64")})})),
              ElementsAre("arm64"));
  Archive alone;
  chart = alone.Manifest("{}", "no tar", "application/vnd.cncf.helm.config.v1+json");
  EXPECT_THAT(Refusal(alone.Tar({chart})), HasSubstr("it holds no image"));
}

TEST_F(ImageLoadTest, AnImageNamedOftenIsOneImage) {
  Archive archive;
  ordered_json image = archive.Image("amd64");
  auto loaded = Must(Load(archive.Tar(
      {Archive::Named(image, "e2e/a:1"), Archive::Named(image, "e2e/a:2"),
       Archive::Named(archive.Index({image}), "e2e/a:3"), Archive::Named(image, "e2e/a:1")})));
  ASSERT_EQ(loaded.size(), 1u);
  EXPECT_THAT(loaded[0].references,
              ElementsAre("docker.io/e2e/a:1", "docker.io/e2e/a:2", "docker.io/e2e/a:3"));
}

TEST_F(ImageLoadTest, ItemsOfOneConfigAreOneImage) {
  std::string layer = MakeTar({{.path = "a", .content = "a"}});
  std::string config = MakeConfig({DiffId(Digest::Of(layer))});
  ordered_json manifest = ordered_json::array();
  for (int i = 0; i < 2000; ++i)
    manifest.push_back(
        {{"Config", "c"}, {"RepoTags", {"a:" + std::to_string(i)}}, {"Layers", {"l"}}});
  auto archive = [&] {
    return MakeTar({{.path = "c", .content = config},
                    {.path = "l", .content = layer},
                    {.path = "manifest.json", .content = manifest.dump()}});
  };
  auto loaded = Must(Load(archive()));
  ASSERT_EQ(loaded.size(), 1u);
  EXPECT_EQ(loaded[0].references.size(), 2000u);
  manifest.push_back({{"Config", "c"}, {"Layers", {"l", "l"}}});
  EXPECT_THAT(Refusal(archive()), HasSubstr("'c' lists 1 layers, the manifest 2"));
}

TEST_F(ImageLoadTest, JsonNestedDeeplyIsRefusedWhereverItStands) {
  const std::string deep = std::string(200'000, '[') + std::string(200'000, ']');
  std::string layer = MakeTar({{.path = "a", .content = "a"}});
  std::string config = MakeConfig({DiffId(Digest::Of(layer))});
  config.insert(1, "\"extra\":" + deep + ",");
  EXPECT_THAT(Refusal(MakeTar({{.path = "manifest.json", .content = deep}})),
              HasSubstr("too deeply"));
  EXPECT_THAT(Refusal(MakeTar({{.path = "index.json", .content = deep}})), HasSubstr("too deeply"));
  EXPECT_THAT(Refusal(MakeTar({{.path = "repositories", .content = "{\"a\":" + deep + "}"}})),
              HasSubstr("too deeply"));
  EXPECT_THAT(Refusal(MakeTar({{.path = "repositories", .content = R"({"a":{"1":"x"}})"},
                               {.path = "x/json", .content = "{\"a\":" + deep + "}"}})),
              HasSubstr("too deeply"));
  EXPECT_THAT(Refusal(MakeTar(
                  {{.path = "c", .content = config},
                   {.path = "l", .content = layer},
                   {.path = "manifest.json", .content = R"([{"Config":"c","Layers":["l"]}])"}})),
              HasSubstr("too deeply"));
  Archive archive;
  ordered_json image = archive.Image("amd64");
  image["size"] = ordered_json::parse(std::string(90, '[') + std::string(90, ']'));
  EXPECT_THAT(Refusal(archive.Tar({image})), HasSubstr("its descriptor says what is no size"));
}

// podman keeps the name "<DiffID>.tar" where it compresses the layer.
TEST_F(ImageLoadTest, CompressedLayersNamedByTheirDiffIdLoadTwice) {
  for (size_t size : {10, 300000}) {
    std::string content;  // that does not compress to nothing
    for (size_t i = 0; content.size() < size; ++i) content += Digest::Of(std::to_string(i)).Hex();
    std::string layer = MakeTar({{.path = "a", .content = content}});
    Digest diff_id = Digest::Of(layer);
    std::string tar =
        MakeTar({{.path = diff_id.Hex() + ".tar", .content = Gzip(layer)},
                 {.path = "c", .content = MakeConfig({DiffId(diff_id)})},
                 {.path = "manifest.json",
                  .content = R"([{"Config":"c","Layers":[")" + diff_id.Hex() + ".tar\"]}]"}});
    for (int i = 0; i < 2; ++i) EXPECT_OK(Load(tar));
  }
}

TEST_F(ImageLoadTest, ALayerThatIsNotWhatItsNamePromisesIsRefused) {
  std::string layer = MakeTar({{.path = "a", .content = "content"}});
  for (const std::string& stored : {layer, Gzip(layer)}) {
    std::string name = Digest::Of("another").Hex() + ".tar";
    std::string tar = MakeTar(
        {{.path = name, .content = stored},
         {.path = "c", .content = MakeConfig({DiffId(Digest::Of(layer))})},
         {.path = "manifest.json", .content = R"([{"Config":"c","Layers":[")" + name + "\"]}]"}});
    EXPECT_THAT(Refusal(tar), HasSubstr("not the one it is named by"));
  }
}

TEST_F(ImageLoadTest, LoadingAgainBringsBackWhatTheStoreLost) {
  const std::string content(5000, 'x');
  std::string layer = MakeTar({{.path = "a", .content = content}});
  Archive archive;
  std::string tar = archive.Tar({Archive::Named(
      archive.Manifest(MakeConfig({DiffId(Digest::Of(layer))}), layer), "e2e/a:1")});
  ASSERT_OK(Load(tar));
  std::string object = PathOf(ObjectOf(content));
  ASSERT_TRUE(std::filesystem::remove(object));
  ASSERT_OK(Load(tar));
  EXPECT_TRUE(std::filesystem::exists(object));
  EXPECT_THAT(Must(Check(store(), true, {})).problems, testing::IsEmpty());
}

TEST_F(ImageLoadTest, LegacyChainsAreBounded) {
  std::vector<TarFile> files;
  ordered_json names = ordered_json::object();
  std::string parent;
  const std::string padding(200'000, 'x');
  for (int i = 0; i < 60; ++i) {
    std::string id = "id" + std::to_string(i);
    ordered_json v1 = {{"id", id}, {"throwaway", true}, {"comment", padding}};
    if (!parent.empty()) v1["parent"] = parent;
    files.push_back({.path = id + "/json", .content = v1.dump()});
    names[id] = id;
    parent = id;
  }
  files.push_back({.path = "repositories", .content = ordered_json{{"a", names}}.dump()});
  EXPECT_THAT(Refusal(MakeTar(files)), HasSubstr("too many parents"));
}

}  // namespace
}  // namespace veneer
