// Merged trees as a cache: missing and damaged ones, and damage in what they are made of.
#include "store/layer_store.h"
#include "store/tree/dump.h"
#include "tests/store/store_fixture.h"

namespace veneer::test {
namespace {

class ChainStoreTest : public StoreTest {
 protected:
  void SetUp() override {
    StoreTest::SetUp();
    std::vector<TarFile> many = {Folder("d/")};
    for (int i = 0; i < 2000; ++i) many.push_back({"d/name-" + std::to_string(i), "the same"});
    image_ = Must(AddImage(
        store(), {MakeTar(many), MakeTar({{"d/name-7", "another 7"}, {"d/.wh.name-8", ""}})}));
    layers_ = Must(store().catalog().ImageLayers(image_));
  }

  std::string Dump() {
    auto chain = Must(store().chains().Open(layers_));
    std::string text;
    EXPECT_OK(
        tree::Dump(*chain, [&](std::string_view line) { text.append(line).push_back('\n'); }));
    return text;
  }

  ImageId image_;
  std::vector<DiffId> layers_;
};

TEST_F(ChainStoreTest, MissingTreeIsMadeAgainTheSame) {
  std::string before = Dump();
  for (const std::string& file : FilesIn("chains")) std::filesystem::remove(PathOf(file));
  EXPECT_EQ(Dump(), before);
}

TEST_F(ChainStoreTest, TreeThatADaemonPutAsideIsMadeAgain) {
  std::string before = Dump();
  std::string path = PathOf("chains/" + ChainIdOf(layers_).Hex());
  std::filesystem::rename(path, path + ".damaged");
  EXPECT_EQ(Dump(), before);
}

TEST_F(ChainStoreTest, DamageDeepInALayersTreeIsHealedWhenItsChainIsMade) {
  std::string before = Dump();
  std::string tree = PathOf(LayerStore::FolderOf(layers_[0]) + "/tree");
  auto size = static_cast<off_t>(std::filesystem::file_size(tree));
  for (off_t at : {size / 4, size / 2, size * 3 / 4}) {
    for (const std::string& file : FilesIn("chains")) std::filesystem::remove(PathOf(file));
    FlipByte(tree, at);
    EXPECT_EQ(Dump(), before) << "damaged at " << at;
  }
}

TEST_F(ChainStoreTest, NoLayersAreTheEmptyTree) {
  auto chain = Must(store().chains().Open({}));
  EXPECT_EQ(chain->name_count(), 0u);
  EXPECT_EQ(store().chains().PathOf({}), "none");
}

}  // namespace
}  // namespace veneer::test
