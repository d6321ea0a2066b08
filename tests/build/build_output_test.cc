#include "tools/build/output/build_output.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <map>

#include "store/archive/canonical_tar.h"
#include "store/image_load.h"
#include "tests/store/store_fixture.h"
#include "tools/build/output/result_files.h"

namespace veneer::build {
namespace {

namespace fs = std::filesystem;
using test::AddLayer;
using test::MakeConfig;
using test::Must;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::string ErrorOf(const std::string& text) {
  const auto output = ParseOutput(text);
  return output ? "none" : output.error().Message();
}

TEST(ParseOutput, KindsAndDestinations) {
  const std::string file = ::testing::TempDir() + "veneer-no-such-file";
  auto output = Must(ParseOutput(file));
  EXPECT_EQ(output.kind, OutputKind::kLocal);
  EXPECT_EQ(output.destination, file);
  output = Must(ParseOutput("type=local,dest=" + file));
  EXPECT_EQ(output.kind, OutputKind::kLocal);
  output = Must(ParseOutput(" Type=tar,\"dest=a,b\""));
  EXPECT_EQ(output.kind, OutputKind::kTar);
  EXPECT_EQ(output.destination, "a,b");
  EXPECT_FALSE(WritesToStandardOutput(output));
  output = Must(ParseOutput("type=oci,dest=" + file + ",tar=false"));
  EXPECT_EQ(output.kind, OutputKind::kOci);
  EXPECT_FALSE(output.as_archive);
  output = Must(ParseOutput("type=image,\"name=a,quay.io/b/c:1\""));
  EXPECT_EQ(output.kind, OutputKind::kImage);
  EXPECT_THAT(output.names, ElementsAre("docker.io/library/a:latest", "quay.io/b/c:1"));
  EXPECT_EQ(Must(ParseOutput("type=docker")).kind, OutputKind::kImage);
  EXPECT_EQ(Must(ParseOutput("type=docker,dest=" + file)).kind, OutputKind::kDocker);
  EXPECT_EQ(Must(ParseOutput("type=cacheonly")).kind, OutputKind::kNone);
}

TEST(ParseOutput, ErrorsAreDockers) {
  EXPECT_EQ(ErrorOf(""), "type is required for output");
  EXPECT_EQ(ErrorOf("dest=x,foo=y"), "type is required for output");
  EXPECT_EQ(ErrorOf("type=local"), "dest is required for local exporter");
  EXPECT_EQ(ErrorOf("type=local,dest=-"), "dest cannot be stdout for local exporter");
  EXPECT_EQ(ErrorOf("type=local,dest"), "invalid value dest");
  EXPECT_EQ(ErrorOf("type=nydus,dest=x"), "exporter \"nydus\" could not be found");
  EXPECT_EQ(ErrorOf("type=tar,dest=/"), "destination file / is a directory");
  EXPECT_EQ(ErrorOf("type=local,dest=/proc/self/status"),
            "destination directory /proc/self/status is a file");
  EXPECT_EQ(ErrorOf("type=oci,dest=x,tar=false,compresion=gzip"),
            "unknown key \"compresion\" for the exporter oci (did you mean compression?)");
  EXPECT_EQ(ErrorOf("type=image,name=A"),
            "failed to parse A: invalid reference format: repository "
            "name (library/A) must be lowercase");
  EXPECT_EQ(ErrorOf("type=image,push=perhaps"), "non-bool value specified for push");
  EXPECT_EQ(ErrorOf("\"type=x"),
            "parse error on line 1, column 8: extraneous or missing \" in quoted-field");
  for (const char* text :
       {"type=registry,name=x", "type=image,push=true", "type=oci,dest=x,compression=zstd",
        "type=image,annotation.a=b", "type=docker,dest=x,tar=false"}) {
    const auto output = ParseOutput(text);
    ASSERT_FALSE(output) << text;
    EXPECT_EQ(output.error().code(), ENOTSUP) << text;
  }
}

TEST(BuildOutput, TheLogTellsWhatWasWritten) {
  BuildResult result;
  result.config = "{}";
  result.image = ImageConfig::IdOf(result.config);
  result.references = {"docker.io/library/a:latest"};
  const std::string id = result.image.ToString();
  const auto said = [&](const std::string& text) {
    const OutputSpec output = Must(ParseOutput(text));
    std::string out = TitleOf(output);
    for (const std::string& line : DoneIn(result, output)) out += "\n" + line;
    return out;
  };
  const std::string file = ::testing::TempDir() + "veneer-no-such-file";
  EXPECT_EQ(said("type=image,name=b"), "exporting to image\nwriting image " + id +
                                           " done\nnaming to docker.io/library/a:latest done\n"
                                           "naming to docker.io/library/b:latest done");
  EXPECT_EQ(said("type=oci,dest=" + file), "exporting to oci image format\nexporting config " + id +
                                               " done\nsending tarball done");
  EXPECT_EQ(
      said("type=docker,dest=" + file),
      "exporting to docker image format\nexporting config " + id + " done\nsending tarball done");
  EXPECT_EQ(said("type=tar,dest=" + file), "exporting to client tarball\nsending tarball done");
  EXPECT_EQ(said(file), "exporting to client directory\ncopying files done");
  EXPECT_EQ(said("type=cacheonly"), "");
}

struct File {
  std::string path;
  mode_t mode = S_IFREG | 0644;
  std::string content = {};
  std::string target = {};
  bool is_hard_link = false;
  uint32_t uid = 0;
  std::vector<tree::Xattr> xattrs = {};
};

std::string LayerTar(const std::vector<File>& files) {
  test::StringSink sink;
  const auto tar = Must(CanonicalTarWriter::Create(sink, sink));
  for (const File& file : files) {
    TarEntry entry;
    entry.path = file.path;
    if (file.is_hard_link) entry.kind = TarEntry::Kind::kHardLink;
    entry.attr.mode = file.mode;
    entry.attr.uid = file.uid;
    entry.attr.size = file.content.size();
    entry.attr.mtime_sec = 1'700'000'000;
    entry.link_target = file.target;
    entry.xattrs = file.xattrs;
    Must(tar->WriteEntry(entry));
    if (!file.content.empty()) Must(tar->WriteContent(file.content));
  }
  Must(tar->Finish());
  return sink.text;
}

struct Member {
  std::string content, link;
  mode_t mode = 0;
  int64_t uid = 0, mtime = 0;
};

std::map<std::string, Member> MembersOf(const std::string& path) {
  std::map<std::string, Member> members;
  archive* a = archive_read_new();
  archive_read_support_format_tar(a);
  EXPECT_EQ(archive_read_open_filename(a, path.c_str(), 65536), ARCHIVE_OK);
  archive_entry* entry = nullptr;
  while (archive_read_next_header(a, &entry) == ARCHIVE_OK) {
    Member member;
    member.mode = archive_entry_mode(entry);
    member.uid = archive_entry_uid(entry);
    member.mtime = archive_entry_mtime(entry);
    if (const char* link = archive_entry_hardlink(entry)) member.link = link;
    if (const char* link = archive_entry_symlink(entry)) member.link = link;
    member.content.resize(static_cast<size_t>(archive_entry_size(entry)));
    archive_read_data(a, member.content.data(), member.content.size());
    members[archive_entry_pathname(entry)] = member;
  }
  archive_read_free(a);
  return members;
}

std::string ReadAll(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

class BuildOutputTest : public test::StoreTest {
 protected:
  void SetUp() override {
    StoreTest::SetUp();
    const DiffId base = Must(AddLayer(
        store(),
        LayerTar({{.path = "big", .mode = S_IFREG | 04755, .content = std::string(300'000, 'b')},
                  {.path = "big2", .target = "big", .is_hard_link = true},
                  {.path = "empty"},
                  {.path = "etc", .mode = S_IFDIR | 0755},
                  {.path = "etc/os",
                   .content = "debian\n",
                   .uid = 1000,
                   .xattrs = {{"user.note", "kept"}, {"trusted.note", "the host's"}}},
                  {.path = "etc/zz", .content = "gone\n"},
                  {.path = "link", .mode = S_IFLNK | 0777, .target = Out("outside")},
                  {.path = "pipe", .mode = S_IFIFO | 0622}})));
    const DiffId top = Must(AddLayer(
        store(), LayerTar({{.path = "etc", .mode = S_IFDIR | 0755},
                           {.path = "etc/.wh.zz"},
                           {.path = "etc/a", .mode = S_IFREG | 0400, .content = "new\n"}})));
    result_.layers = {base, top};
    result_.config = MakeConfig(result_.layers);
    result_.image = ImageConfig::IdOf(result_.config);
    result_.references = {"docker.io/library/app:1"};
  }

  Result<> Write(const std::string& spec) {
    return WriteOutput(store(), result_, Must(ParseOutput(spec)));
  }
  std::string Out(const std::string& name) const { return base_ + "/" + name; }
  std::vector<std::string> NamesIn(const std::string& directory) const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(Out(directory)))
      names.push_back(entry.path().filename());
    std::sort(names.begin(), names.end());
    return names;
  }

  BuildResult result_;
};

TEST_F(BuildOutputTest, AnImageIsThereWithItsNames) {
  ASSERT_OK(Write("type=image,name=other"));
  const auto row = Must(store().catalog().FindImage(result_.image));
  ASSERT_TRUE(row);
  EXPECT_EQ(row->config, result_.config);
  EXPECT_EQ(Must(store().catalog().ImageLayers(result_.image)), result_.layers);
  EXPECT_EQ(Must(store().catalog().FindReference("docker.io/library/app:1")), result_.image);
  EXPECT_EQ(Must(store().catalog().FindReference("docker.io/library/other:latest")), result_.image);
  EXPECT_TRUE(fs::exists(store().chains().PathOf(result_.layers)));
}

TEST_F(BuildOutputTest, AnArchiveNeedsNoImageInTheStore) {
  for (const char* type : {"oci", "docker"}) {
    const std::string file = Out(type);
    ASSERT_OK(Write(std::string("type=") + type + ",dest=" + file));
    EXPECT_FALSE(Must(store().catalog().FindImage(result_.image)));
    auto other = Must(Store::Open(Out(std::string("store-") + type)));
    const UniqueFd fd(open(file.c_str(), O_RDONLY | O_CLOEXEC));
    const auto loaded = Must(LoadArchive(*other, fd.get(), {}));
    ASSERT_EQ(loaded.size(), 1U);
    EXPECT_EQ(loaded[0].id, result_.image);
    EXPECT_THAT(loaded[0].references, ElementsAre("docker.io/library/app:1"));
  }
  EXPECT_TRUE(MembersOf(Out("docker")).contains("manifest.json"));
  EXPECT_FALSE(MembersOf(Out("oci")).contains("manifest.json"));
}

TEST_F(BuildOutputTest, ALayoutIsADirectory) {
  result_.references.clear();
  ASSERT_OK(Write("type=oci,tar=false,dest=" + Out("layout")));
  auto other = Must(Store::Open(Out("other")));
  const auto loaded = Must(LoadLayout(*other, Out("layout"), {}));
  ASSERT_EQ(loaded.size(), 1U);
  EXPECT_EQ(loaded[0].id, result_.image);
  EXPECT_THAT(loaded[0].references, IsEmpty());
}

TEST_F(BuildOutputTest, ATarHasTheMergedTree) {
  result_.source_date_epoch = 1'600'000'000;
  ASSERT_OK(Write("type=tar,dest=" + Out("tar")));
  auto members = MembersOf(Out("tar"));
  EXPECT_EQ(members.size(), 8U);
  EXPECT_EQ(members["etc/"].mode, S_IFDIR | 0755U);
  EXPECT_EQ(members["etc/os"].content, "debian\n");
  EXPECT_EQ(members["etc/os"].uid, 1000);
  EXPECT_EQ(members["etc/a"].mode, S_IFREG | 0400U);
  EXPECT_EQ(members["big"].content, std::string(300'000, 'b'));
  EXPECT_EQ(members["big"].mode, S_IFREG | 04755U);
  EXPECT_EQ(members["big2"].link, "big");
  EXPECT_EQ(members["link"].link, Out("outside"));
  EXPECT_FALSE(members.contains("etc/zz"));
  for (const auto& [name, member] : members) EXPECT_EQ(member.mtime, 1'600'000'000) << name;
  result_.source_date_epoch = 1'800'000'000;
  ASSERT_OK(Write("type=tar,dest=" + Out("tar")));
  EXPECT_EQ(MembersOf(Out("tar"))["etc/os"].mtime, 1'700'000'000);
}

TEST_F(BuildOutputTest, AFileIsWholeOrNotThere) {
  std::ofstream(Out("tar")) << "former";
  fs::remove(PathOf(ObjectOf("new\n")));
  for (const char* type : {"tar", "oci"}) {
    const auto written = Write(std::string("type=") + type + ",dest=" + Out("tar"));
    ASSERT_FALSE(written);
    EXPECT_THAT(written.error().Message(), HasSubstr("'" + Out("tar") + "'"));
    EXPECT_EQ(ReadAll(Out("tar")), "former");
  }
  EXPECT_THAT(NamesIn(""), ElementsAre("store", "tar")) << "nothing is left beside it";
  const auto missing = Write("type=tar,dest=" + Out("no/such/folder"));
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code(), ENOENT);
}

TEST_F(BuildOutputTest, ADirectoryGetsTheFiles) {
  ASSERT_OK(Write(Out("new/out")));
  const std::string out = Out("new/out/");
  EXPECT_THAT(NamesIn("new/out"), ElementsAre("big", "big2", "empty", "etc", "link", "pipe"));
  EXPECT_THAT(NamesIn("new/out/etc"), ElementsAre("a", "os"));
  EXPECT_EQ(ReadAll(out + "etc/os"), "debian\n");
  EXPECT_EQ(ReadAll(out + "big"), std::string(300'000, 'b'));
  struct stat st = {}, second = {};
  ASSERT_EQ(stat((out + "etc/os").c_str(), &st), 0);
  EXPECT_EQ(st.st_uid, geteuid()) << "files are ours";
  EXPECT_EQ(st.st_mtime, 1'700'000'000);
  ASSERT_EQ(stat((out + "etc").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode, S_IFDIR | 0755U);
  EXPECT_EQ(st.st_mtime, 1'700'000'000);
  ASSERT_EQ(stat((out + "big").c_str(), &st), 0);
  ASSERT_EQ(stat((out + "big2").c_str(), &second), 0);
  EXPECT_EQ(st.st_mode, S_IFREG | 04755U);
  EXPECT_EQ(st.st_ino, second.st_ino);
  ASSERT_EQ(lstat((out + "pipe").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode, S_IFIFO | 0622U) << "whatever the umask says";
  std::array<char, 16> value{};
  EXPECT_EQ(getxattr((out + "etc/os").c_str(), "user.note", value.data(), value.size()), 4);
  EXPECT_LT(getxattr((out + "etc/os").c_str(), "trusted.note", value.data(), value.size()), 0);
  ASSERT_EQ(lstat((out + "link").c_str(), &st), 0);
  EXPECT_TRUE(S_ISLNK(st.st_mode));
  ASSERT_EQ(stat(Out("new").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777U, 0700U);
}

TEST_F(BuildOutputTest, ADirectoryIsAddedTo) {
  fs::create_directories(Out("out/etc"));
  fs::create_directories(Out("out/big/full"));  // in the way of a file
  fs::create_directories(Out("out/link/full"));
  fs::create_directories(Out("out/big2"));
  std::ofstream(Out("out/etc/os")) << "former";
  std::ofstream(Out("out/etc/mine")) << "mine";
  fs::permissions(Out("out/etc"), fs::perms::owner_read | fs::perms::owner_exec);
  for (int i = 0; i < 2; ++i) {  // and again, over itself
    ASSERT_OK(Write(Out("out")));
    EXPECT_THAT(NamesIn("out"), ElementsAre("big", "big2", "empty", "etc", "link", "pipe"));
    EXPECT_THAT(NamesIn("out/etc"), ElementsAre("a", "mine", "os"));
    EXPECT_EQ(ReadAll(Out("out/etc/os")), "debian\n");
    EXPECT_EQ(fs::hard_link_count(Out("out/big")), 2U);
    EXPECT_TRUE(fs::is_symlink(Out("out/link")));
  }
}

TEST_F(BuildOutputTest, NoSymlinkLeadsOutOfADirectory) {
  fs::create_directories(Out("outside"));
  fs::create_directories(Out("out"));
  std::ofstream(Out("outside/os")) << "precious";
  fs::create_directory_symlink(Out("outside"), Out("out/etc"));
  fs::create_symlink(Out("outside/os"), Out("out/big"));
  // Another layer has files that seem to be behind the image's own symlink.
  const DiffId trap = Must(AddLayer(store(), LayerTar({{.path = "etc/deep", .content = "x"},
                                                       {.path = "link/x", .content = "x"}})));
  result_.layers.push_back(trap);
  ASSERT_OK(Write(Out("out")));
  EXPECT_THAT(NamesIn("outside"), ElementsAre("os"));
  EXPECT_EQ(ReadAll(Out("outside/os")), "precious");
  EXPECT_FALSE(fs::is_symlink(Out("out/etc")));
  EXPECT_EQ(ReadAll(Out("out/etc/deep")), "x");
  EXPECT_FALSE(fs::is_symlink(Out("out/big")));
}

TEST_F(BuildOutputTest, TimesInADirectoryAreClamped) {
  result_.source_date_epoch = 1'600'000'000;
  ASSERT_OK(Write(Out("out")));
  for (const char* name : {"etc", "etc/a", "big", "link", "pipe"}) {
    struct stat st = {};
    ASSERT_EQ(lstat(Out("out/" + std::string(name)).c_str(), &st), 0);
    EXPECT_EQ(st.st_mtime, 1'600'000'000) << name;
  }
}

TEST_F(BuildOutputTest, ErrorsOfADirectoryNameThePath) {
  fs::remove(PathOf(ObjectOf("new\n")));
  const auto written = Write(Out("out"));
  ASSERT_FALSE(written);
  EXPECT_THAT(written.error().Message(), HasSubstr(Out("out")));
  EXPECT_THAT(written.error().Message(), HasSubstr("'/etc/a'"));
}

TEST_F(BuildOutputTest, MetadataIsWhatBuildxWrites) {
  const std::string id = result_.image.ToString();
  auto metadata = Must(BuildMetadata(store(), result_, {Must(ParseOutput("type=image,name=b"))}));
  EXPECT_EQ(metadata, nlohmann::json({{"containerimage.config.digest", id},
                                      {"containerimage.digest", id},
                                      {"image.name",
                                       "docker.io/library/app:1,"
                                       "docker.io/library/b:latest"}}));
  const OutputSpec layout = Must(ParseOutput("type=oci,tar=false,dest=" + Out("layout")));
  ASSERT_OK(WriteOutput(store(), result_, layout));
  metadata = Must(BuildMetadata(store(), result_, {layout}));
  const auto index = nlohmann::json::parse(ReadAll(Out("layout/index.json")));
  const nlohmann::json& descriptor = metadata["containerimage.descriptor"];
  EXPECT_EQ(descriptor["digest"], index["manifests"][0]["digest"]);
  EXPECT_EQ(descriptor["size"], index["manifests"][0]["size"]);
  EXPECT_EQ(metadata["containerimage.digest"], descriptor["digest"]);
  EXPECT_EQ(metadata["containerimage.config.digest"], id);
  EXPECT_EQ(Must(BuildMetadata(store(), result_, {Must(ParseOutput(Out("out")))})),
            nlohmann::json::object());

  ASSERT_OK(WriteMetadataFile(Out("meta"), {{"b", 1}, {"a", "x"}}));
  EXPECT_EQ(ReadAll(Out("meta")), "{\n  \"a\": \"x\",\n  \"b\": 1\n}");
  ASSERT_OK(WriteImageIdFile(Out("iid"), result_.image));
  EXPECT_EQ(ReadAll(Out("iid")), id);
  EXPECT_FALSE(WriteImageIdFile(Out("no/iid"), result_.image));
}

}  // namespace
}  // namespace veneer::build
