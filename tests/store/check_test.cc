#include "store/base/beneath.h"
#include "store/maintenance.h"
#include "store/sqlite.h"
#include "tests/store/store_fixture.h"

namespace veneer {
namespace {

using test::AddImage;
using test::Folder;
using test::MakeTar;
using test::Must;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class CheckTest : public test::StoreTest {
 protected:
  void SetUp() override {
    StoreTest::SetUp();
    tar_ = MakeTar({Folder("etc/"),
                    {.path = "etc/a", .content = "content a"},
                    {.path = "etc/b", .content = std::string(100000, 'b')}});
    image_ = Must(AddImage(store(), {tar_}, "docker.io/library/a:latest"));
    layer_ = DiffId(Digest::Of(tar_));
    layers_ = {layer_};
    Must(store().chains().Open(layers_));
  }
  CheckReport Run(bool deep) { return Must(Check(store(), deep, {})); }
  std::string TreePath() const { return PathOf(LayerStore::FolderOf(layer_) + "/tree"); }
  std::string RecipePath() const { return PathOf(LayerStore::FolderOf(layer_) + "/recipe"); }
  static off_t SizeOf(const std::string& path) {
    return static_cast<off_t>(std::filesystem::file_size(path));
  }

  std::string tar_;
  ImageId image_;
  DiffId layer_;
  std::vector<DiffId> layers_;
};

TEST_F(CheckTest, FindsNothingWrongWithASoundStore) {
  uint64_t bytes = 0;
  CheckReport report = Must(Check(store(), true, [&](uint64_t n) { bytes += n; }));
  EXPECT_THAT(report.problems, IsEmpty());
  EXPECT_THAT(report.repaired, IsEmpty());
  EXPECT_EQ(report.images, 1u);
  EXPECT_EQ(report.layers, 1u);
  EXPECT_EQ(report.objects, 2u);
  EXPECT_EQ(report.chains, 1u);
  EXPECT_EQ(report.unreachable_objects, 0u);
  EXPECT_GT(bytes, 200000u) << "each content read for itself and in its tar";
}

TEST_F(CheckTest, CountsUnreachableObjectsAsNoProblem) {
  ObjectId stray = ObjectOf("stray");
  std::filesystem::create_directories(std::filesystem::path(PathOf(stray)).parent_path());
  std::ofstream(PathOf(stray)) << "stray";
  CheckReport report = Run(false);
  EXPECT_THAT(report.problems, IsEmpty());
  EXPECT_EQ(report.unreachable_objects, 1u);
}

TEST_F(CheckTest, NamesAMissingObjectAndItsLayer) {
  ASSERT_OK(store().objects().Remove(ObjectOf("content a")));
  EXPECT_THAT(Run(false).problems,
              ElementsAre(HasSubstr("object " + ObjectOf("content a").Hex() + ": missing"),
                          HasSubstr("layer " + layer_.ToString())));
}

TEST_F(CheckTest, NamesAnObjectOfAnotherSize) {
  std::filesystem::resize_file(PathOf(ObjectOf("content a")), 4);
  EXPECT_THAT(Run(false).problems, Contains(HasSubstr("4 bytes instead of 9")));
}

TEST_F(CheckTest, FindsChangedContentWhenDeep) {
  FlipByte(PathOf(ObjectOf("content a")), 3);
  EXPECT_THAT(Run(false).problems, IsEmpty());
  EXPECT_THAT(Run(true).problems, ElementsAre(HasSubstr("object " + ObjectOf("content a").Hex()),
                                              HasSubstr("layer " + layer_.ToString())));
}

TEST_F(CheckTest, FindsADamagedRecipeWhereverItIsDamaged) {
  for (off_t at : {off_t{3}, off_t{20}, SizeOf(RecipePath()) / 2, SizeOf(RecipePath()) - 1}) {
    FlipByte(RecipePath(), at);
    EXPECT_THAT(Run(true).problems, Contains(HasSubstr(layer_.ToString()))) << "byte " << at;
    FlipByte(RecipePath(), at);
    EXPECT_THAT(Run(true).problems, IsEmpty());
  }
}

TEST_F(CheckTest, FindsAMissingRecipe) {
  ASSERT_EQ(unlink(RecipePath().c_str()), 0);
  EXPECT_THAT(Run(false).problems, ElementsAre(HasSubstr("recipe")));
}

TEST_F(CheckTest, RebuildsADamagedTreeWhereverItIsDamaged) {
  std::string sound = Must(ReadFileAt(AT_FDCWD, TreePath(), 1 << 20));
  for (off_t at : {off_t{0}, off_t{40}, SizeOf(TreePath()) / 2, SizeOf(TreePath()) - 1}) {
    FlipByte(TreePath(), at);
    CheckReport report = Run(false);
    EXPECT_THAT(report.problems, IsEmpty());
    EXPECT_THAT(report.repaired, ElementsAre(HasSubstr(layer_.ToString()))) << "byte " << at;
    EXPECT_TRUE(Must(ReadFileAt(AT_FDCWD, TreePath(), 1 << 20)) == sound);
  }
}

TEST_F(CheckTest, RebuildsAMissingTree) {
  ASSERT_EQ(unlink(TreePath().c_str()), 0);
  CheckReport report = Run(false);
  EXPECT_THAT(report.problems, IsEmpty());
  EXPECT_EQ(report.repaired.size(), 1u);
  EXPECT_OK(store().layers().OpenTree(layer_));
}

TEST_F(CheckTest, SaysThatATreeCannotBeRebuilt) {
  FlipByte(TreePath(), SizeOf(TreePath()) / 2);
  ASSERT_OK(store().objects().Remove(ObjectOf("content a")));
  CheckReport report = Run(false);
  EXPECT_THAT(report.problems, Contains(HasSubstr("cannot be rebuilt")));
  EXPECT_THAT(report.repaired, IsEmpty());
}

TEST_F(CheckTest, RebuildsADamagedMergedTree) {
  std::string path = store().chains().PathOf(layers_);
  std::string sound = Must(ReadFileAt(AT_FDCWD, path, 1 << 20));
  for (off_t at : {off_t{0}, SizeOf(path) / 2, SizeOf(path) - 1}) {
    FlipByte(path, at);
    CheckReport report = Run(false);
    EXPECT_THAT(report.problems, IsEmpty());
    EXPECT_THAT(report.repaired, ElementsAre(HasSubstr(image_.ToString()))) << "byte " << at;
    EXPECT_TRUE(Must(ReadFileAt(AT_FDCWD, path, 1 << 20)) == sound);
  }
}

TEST_F(CheckTest, AMissingMergedTreeIsNoProblem) {
  ASSERT_EQ(unlink(store().chains().PathOf(layers_).c_str()), 0);
  CheckReport report = Run(true);
  EXPECT_THAT(report.problems, IsEmpty());
  EXPECT_THAT(report.repaired, IsEmpty());
}

TEST_F(CheckTest, FindsAnImageWithoutItsLayer) {
  {
    auto db = Must(Database::Open(PathOf("veneer.db")));
    ASSERT_OK(db->Exec("PRAGMA foreign_keys=OFF"));
    ASSERT_OK(db->Exec("DELETE FROM layers"));
  }
  EXPECT_THAT(Run(false).problems,
              ElementsAre(AllOf(HasSubstr("image " + image_.ToString()),
                                HasSubstr("layer " + layer_.ToString() + " is missing"))));
}

TEST_F(CheckTest, FindsADamagedConfig) {
  {
    auto db = Must(Database::Open(PathOf("veneer.db")));
    ASSERT_OK(db->Exec("UPDATE images SET config = CAST('{}' AS BLOB)"));
  }
  EXPECT_THAT(Run(false).problems, ElementsAre(HasSubstr("config")));
}

TEST_F(CheckTest, FindsAContainerWithoutItsFiles) {
  ASSERT_OK(store().catalog().AddContainer({.id = "c", .name = "web", .image = image_}));
  EXPECT_THAT(Run(false).problems, ElementsAre(HasSubstr("container web")));
  std::filesystem::create_directories(PathOf("containers/c/upper"));
  EXPECT_THAT(Run(false).problems, IsEmpty());
}

}  // namespace
}  // namespace veneer
