#include "store/image_save.h"

#include <map>

#include "store/layout_target.h"
#include "tests/store/store_fixture.h"

namespace veneer {
namespace {

using nlohmann::json;
using test::AddImage;
using test::MakeTar;
using test::Must;
using test::StringSink;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

struct Member {
  std::string content;
  mode_t mode = 0;
  int64_t mtime = -1;
};

// The members of a tar, and their order.
struct Members {
  explicit Members(const std::string& tar) {
    archive* a = archive_read_new();
    archive_read_support_format_tar(a);
    archive_read_open_memory(a, tar.data(), tar.size());
    archive_entry* entry = nullptr;
    while (archive_read_next_header(a, &entry) == ARCHIVE_OK) {
      Member member{std::string(static_cast<size_t>(archive_entry_size(entry)), '\0'),
                    archive_entry_mode(entry), archive_entry_mtime(entry)};
      archive_read_data(a, member.content.data(), member.content.size());
      order.push_back(archive_entry_pathname(entry));
      by_name[order.back()] = member;
    }
    archive_read_free(a);
  }
  json Json(const std::string& name) { return json::parse(by_name.at(name).content); }
  std::vector<std::string> order;
  std::map<std::string, Member> by_name;
};

class ImageSaveTest : public test::StoreTest {
 protected:
  void SetUp() override {
    StoreTest::SetUp();
    base_tar_ = MakeTar({{.path = "etc/os", .content = "debian\n"}});
    top_tar_ = MakeTar({{.path = "app", .content = std::string(300000, 'a')}});
    image_ = Must(AddImage(store(), {base_tar_, top_tar_}, "docker.io/library/debian:latest"));
    items_ = {{image_, {"docker.io/library/debian:latest"}}};
  }
  std::string Save(SaveFormat format) {
    StringSink sink;
    Must(SaveArchive(store(), items_, format, sink));
    return sink.text;
  }
  static std::string Blob(const Digest& digest) { return "blobs/sha256/" + digest.Hex(); }
  static std::string BlobNamed(const json& descriptor) {
    return "blobs/sha256/" + descriptor.at("digest").get<std::string>().substr(7);
  }
  json IndexIn(const std::string& directory) {
    std::ifstream in(directory + "/index.json");
    return json::parse(in);
  }

  std::string base_tar_, top_tar_;
  ImageId image_;
  std::vector<SaveItem> items_;
};

TEST_F(ImageSaveTest, WritesTheLayoutDockerWrites) {
  Members members(Save(SaveFormat::kDocker));
  std::string config = Blob(image_.digest), base = Blob(Digest::Of(base_tar_)),
              top = Blob(Digest::Of(top_tar_));

  json index = members.Json("index.json");
  ASSERT_EQ(index["manifests"].size(), 1u);
  json entry = index["manifests"][0];
  EXPECT_EQ(entry["annotations"],
            json({{"io.containerd.image.name", "docker.io/library/debian:latest"},
                  {"org.opencontainers.image.ref.name", "latest"}}));

  std::vector<std::string> blobs = {config, base, top, BlobNamed(entry)};
  std::sort(blobs.begin(), blobs.end());
  std::vector<std::string> expected = {"blobs/", "blobs/sha256/"};
  expected.insert(expected.end(), blobs.begin(), blobs.end());
  for (const char* name : {"index.json", "manifest.json", "oci-layout", "repositories"})
    expected.push_back(name);
  EXPECT_EQ(members.order, expected);

  std::string manifest_bytes = members.by_name.at(BlobNamed(entry)).content;
  EXPECT_EQ(entry["size"], manifest_bytes.size());
  EXPECT_EQ(BlobNamed(entry), Blob(Digest::Of(manifest_bytes)));
  json manifest = json::parse(manifest_bytes);
  EXPECT_EQ(BlobNamed(manifest["config"]), config);
  ASSERT_EQ(manifest["layers"].size(), 2u);
  EXPECT_EQ(BlobNamed(manifest["layers"][0]), base);
  EXPECT_EQ(manifest["layers"][1]["size"], top_tar_.size());
  EXPECT_EQ(manifest["layers"][1]["mediaType"], "application/vnd.oci.image.layer.v1.tar");

  json docker = members.Json("manifest.json");
  ASSERT_EQ(docker.size(), 1u);
  EXPECT_EQ(docker[0]["Config"], config);
  EXPECT_EQ(docker[0]["RepoTags"], json({"debian:latest"}));
  EXPECT_EQ(docker[0]["Layers"], json({base, top}));
  EXPECT_EQ(members.Json("repositories"),
            json({{"debian", {{"latest", Digest::Of(top_tar_).Hex()}}}}));
  EXPECT_EQ(members.Json("oci-layout"), json({{"imageLayoutVersion", "1.0.0"}}));
}

TEST_F(ImageSaveTest, BlobsAreWhatTheirNamesSay) {
  Members members(Save(SaveFormat::kDocker));
  int blobs = 0;
  for (const auto& [name, member] : members.by_name) {
    EXPECT_EQ(member.mtime, 0) << name;
    if (name.ends_with('/')) {
      EXPECT_EQ(member.mode, S_IFDIR | 0755u) << name;
      continue;
    }
    EXPECT_EQ(member.mode, S_IFREG | 0644u) << name;
    if (!name.starts_with("blobs/")) continue;
    EXPECT_EQ(Blob(Digest::Of(member.content)), name);
    ++blobs;
  }
  EXPECT_EQ(blobs, 4);
  EXPECT_TRUE(members.by_name[Blob(Digest::Of(top_tar_))].content == top_tar_);
}

TEST_F(ImageSaveTest, IsDeterministic) {
  std::string first = Save(SaveFormat::kDocker);
  EXPECT_TRUE(Save(SaveFormat::kDocker) == first);
  Reopen();
  EXPECT_TRUE(Save(SaveFormat::kDocker) == first);
  EXPECT_EQ(first.size() % 512, 0u);
}

TEST_F(ImageSaveTest, AnOciArchiveHasNothingOfDockers) {
  Members members(Save(SaveFormat::kOci));
  EXPECT_FALSE(members.by_name.contains("manifest.json"));
  EXPECT_FALSE(members.by_name.contains("repositories"));
  EXPECT_EQ(members.Json(
                "index.json")["manifests"][0]["annotations"]["org.opencontainers.image.ref.name"],
            "latest");
}

TEST_F(ImageSaveTest, SeveralNamesInAnOciArchiveCanBeToldApart) {
  items_[0].references.push_back("quay.io/me/other:latest");
  Members members(Save(SaveFormat::kOci));
  std::vector<std::string> names;
  json index = members.Json("index.json");
  for (const json& entry : index["manifests"])
    names.push_back(entry["annotations"]["org.opencontainers.image.ref.name"]);
  EXPECT_THAT(names, ElementsAre("docker.io/library/debian:latest", "quay.io/me/other:latest"));
}

TEST_F(ImageSaveTest, WhatImagesShareIsWrittenOnce) {
  ImageId second = Must(AddImage(store(), {base_tar_}));
  items_.push_back({second, {}});
  items_.push_back({image_, {"docker.io/library/debian:latest", "docker.io/library/debian:12"}});
  Members members(Save(SaveFormat::kDocker));
  EXPECT_EQ(members.order.size(), members.by_name.size()) << "a member is there twice";
  json docker = members.Json("manifest.json");
  ASSERT_EQ(docker.size(), 2u);
  EXPECT_EQ(docker[0]["RepoTags"], json({"debian:latest", "debian:12"}));
  EXPECT_TRUE(docker[1]["RepoTags"].is_null());
  json index = members.Json("index.json");
  ASSERT_EQ(index["manifests"].size(), 3u);
  EXPECT_FALSE(index["manifests"][2].contains("annotations"));
}

TEST_F(ImageSaveTest, AnImageWithoutNamesOrLayersIsSaved) {
  ImageId empty = Must(AddImage(store(), {}));
  items_ = {{empty, {}}};
  Members members(Save(SaveFormat::kDocker));
  EXPECT_EQ(members.Json("manifest.json")[0]["Layers"], json::array());
  EXPECT_FALSE(members.by_name.contains("repositories"));
}

TEST_F(ImageSaveTest, ADamagedLayerFailsTheArchive) {
  FlipByte(PathOf(ObjectOf("debian\n")), 2);
  StringSink sink;
  auto saved = SaveArchive(store(), items_, SaveFormat::kDocker, sink);
  ASSERT_FALSE(saved);
  EXPECT_EQ(saved.error().code(), EBADMSG);
  auto layout = SaveLayout(store(), items_, base_ + "/layout");
  ASSERT_FALSE(layout);
  EXPECT_FALSE(
      std::filesystem::exists(base_ + "/layout/blobs/sha256/" + Digest::Of(base_tar_).Hex()));
  EXPECT_FALSE(std::filesystem::exists(base_ + "/layout/index.json"));
}

TEST_F(ImageSaveTest, TheSinksErrorIsWhatFails) {
  struct FullSink : ByteSink {
    Result<> Write(std::string_view) override { return Fail(ENOSPC, "write"); }
  } full;
  auto saved = SaveArchive(store(), items_, SaveFormat::kDocker, full);
  ASSERT_FALSE(saved);
  EXPECT_EQ(saved.error().code(), ENOSPC);
}

TEST_F(ImageSaveTest, AnUnknownImageIsAnError) {
  items_ = {{ImageId(Digest::Of("x")), {}}};
  StringSink sink;
  auto saved = SaveArchive(store(), items_, SaveFormat::kOci, sink);
  ASSERT_FALSE(saved);
  EXPECT_EQ(saved.error().code(), ENOENT);
  EXPECT_THAT(sink.text, IsEmpty());
}

TEST_F(ImageSaveTest, ALayoutIsAddedTo) {
  std::string layout = base_ + "/layout";
  ASSERT_OK(SaveLayout(store(), items_, layout));
  ASSERT_OK(SaveLayout(store(), items_, layout));
  EXPECT_EQ(IndexIn(layout)["manifests"].size(), 1u) << "the same name again";

  ImageId second = Must(AddImage(store(), {base_tar_}));
  items_ = {{second, {"docker.io/library/debian:11"}}};
  ASSERT_OK(SaveLayout(store(), items_, layout));
  EXPECT_EQ(IndexIn(layout)["manifests"].size(), 2u);

  items_ = {{second, {"docker.io/library/other:11"}}};
  ASSERT_OK(SaveLayout(store(), items_, layout));
  json entries = IndexIn(layout)["manifests"];
  ASSERT_EQ(entries.size(), 3u) << "another image's tag is not taken away";
  EXPECT_EQ(entries[2]["annotations"]["org.opencontainers.image.ref.name"],
            "docker.io/library/other:11");

  for (const auto& file : std::filesystem::directory_iterator(layout + "/blobs/sha256")) {
    std::ifstream in(file.path(), std::ios::binary);
    std::string content(std::istreambuf_iterator<char>(in), {});
    EXPECT_EQ(Digest::Of(content).Hex(), file.path().filename());
  }
}

TEST_F(ImageSaveTest, ADamagedBlobOfALayoutIsWrittenAgain) {
  std::string layout = base_ + "/layout";
  ASSERT_OK(SaveLayout(store(), items_, layout));
  std::string blob = layout + "/" + Blob(Digest::Of(top_tar_));
  std::filesystem::resize_file(blob, 100);
  ASSERT_OK(SaveLayout(store(), items_, layout));
  EXPECT_EQ(std::filesystem::file_size(blob), top_tar_.size());
}

TEST_F(ImageSaveTest, ADirectoryThatIsNoLayoutIsLeftAlone) {
  std::string directory = base_ + "/photos";
  std::filesystem::create_directories(directory);
  std::ofstream(directory + "/cat.jpg") << "cat";
  auto saved = SaveLayout(store(), items_, directory);
  ASSERT_FALSE(saved);
  EXPECT_EQ(saved.error().code(), ENOTEMPTY);
  EXPECT_FALSE(std::filesystem::exists(directory + "/oci-layout"));
}

TEST_F(ImageSaveTest, FilesMayBeLargerThanUstarCanSay) {
  constexpr uint64_t kSize = (uint64_t{9} << 30) + 5;
  struct HeadSink : ByteSink {
    Result<> Write(std::string_view data) override {
      if (head.size() < 4096) head.append(data);
      return {};
    }
    std::string head;
  } sink;
  auto target = Must(LayoutTarget::Tar(sink));
  auto streamed = target->Stream("big", kSize, [](ByteSink& out) -> Result<> {
    TRY(out.Write(std::string(1 << 20, 'x')));
    return Fail(ECANCELED, "enough seen");
  });
  ASSERT_FALSE(streamed);
  EXPECT_EQ(streamed.error().code(), ECANCELED);
  archive* a = archive_read_new();
  archive_read_support_format_tar(a);
  archive_read_open_memory(a, sink.head.data(), sink.head.size());
  archive_entry* entry = nullptr;
  ASSERT_EQ(archive_read_next_header(a, &entry), ARCHIVE_OK);
  EXPECT_EQ(static_cast<uint64_t>(archive_entry_size(entry)), kSize);
  archive_read_free(a);
}

TEST_F(ImageSaveTest, ALayoutWithADamagedIndexIsNotAddedTo) {
  const std::string deep = std::string(200'000, '[') + std::string(200'000, ']');
  for (const std::string& manifests : {std::string("1"), deep}) {
    std::string directory = base_ + "/layout";
    ASSERT_OK(SaveLayout(store(), items_, directory));
    std::ofstream(directory + "/index.json") << "{\"manifests\":" << manifests << "}";
    auto saved = SaveLayout(store(), items_, directory);
    ASSERT_FALSE(saved) << manifests.substr(0, 3);
    EXPECT_EQ(saved.error().code(), EBADMSG);
    std::filesystem::remove_all(directory);
  }
}

TEST_F(ImageSaveTest, AStreamOfAnotherSizeFails) {
  StringSink sink;
  auto target = Must(LayoutTarget::Tar(sink));
  for (const char* content : {"four", "sixsix"}) {
    auto streamed = target->Stream("f", 5, [&](ByteSink& out) { return out.Write(content); });
    ASSERT_FALSE(streamed);
    EXPECT_EQ(streamed.error().code(), EBADMSG);
  }
}

}  // namespace
}  // namespace veneer
