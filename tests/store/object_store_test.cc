#include "store/object_store.h"

#include "store/base/beneath.h"
#include "tests/store/store_fixture.h"

namespace veneer {
namespace {

using test::Must;

class ObjectStoreTest : public test::StoreTest {
 protected:
  void SetUp() override {
    StoreTest::SetUp();
    std::filesystem::create_directory(base_ + "/staging");
    dir_ = Must(OpenAt(AT_FDCWD, base_ + "/staging", O_RDONLY | O_DIRECTORY));
    staging_ = Must(ObjectStaging::Create(store().objects(), store().root_fd(), dir_.get()));
  }
  void TearDown() override {
    staging_.reset();  // its thread may still be at work in the store
    StoreTest::TearDown();
  }

  ObjectId Add(std::string_view content) {
    staging_->Begin();
    Must(staging_->Write(0, content));
    return Must(staging_->Finish(content.size()));
  }
  Result<> Publish() {
    SyncSet set(dir_.get());
    TRY(staging_->AddContents(set));
    TRY(set.Sync());
    TRY(staging_->Name());
    staging_->AddNames(set);
    return set.Sync();
  }
  std::string Content(const ObjectId& id) {
    return Must(ReadFileAt(store().root_fd(), ObjectStore::PathOf(id), 64 << 20));
  }
  size_t StagedFiles() {
    size_t count = 0;
    for ([[maybe_unused]] const auto& e : std::filesystem::directory_iterator(base_ + "/staging"))
      ++count;
    return count;
  }

  UniqueFd dir_;
  std::unique_ptr<ObjectStaging> staging_;
};

TEST_F(ObjectStoreTest, NamesAContentByItsDigest) {
  ObjectId id = Add("hello");
  EXPECT_EQ(id, ObjectOf("hello"));
  ASSERT_OK(Publish());
  EXPECT_EQ(ObjectStore::PathOf(id),
            "objects/2c/f24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e7"
            "3043362938b9824");
  EXPECT_EQ(Content(id), "hello");
}

TEST_F(ObjectStoreTest, ShowsNothingBeforePublish) {
  ObjectId id = Add("hello");
  EXPECT_FALSE(store().objects().Has(id));
  ASSERT_OK(Publish());
  EXPECT_TRUE(store().objects().Has(id));
  EXPECT_EQ(StagedFiles(), 0u);
}

TEST_F(ObjectStoreTest, KeepsObjectsReadOnly) {
  ObjectId id = Add("hello");
  ASSERT_OK(Publish());
  EXPECT_EQ(Must(StatAt(store().root_fd(), ObjectStore::PathOf(id), 0)).st_mode, S_IFREG | 0444u);
}

TEST_F(ObjectStoreTest, StagesAKnownContentOnce) {
  SyncSet set(dir_.get());
  Add("same");
  Add("same");
  ASSERT_OK(staging_->AddContents(set));
  EXPECT_EQ(StagedFiles(), 1u);
  ASSERT_OK(Publish());
  Add("same");
  ASSERT_OK(staging_->AddContents(set));
  EXPECT_EQ(StagedFiles(), 0u);
}

TEST_F(ObjectStoreTest, StagesAKnownLargeContentOnce) {
  std::string large(3 << 20, 'x');
  Add(large);
  Add(large);
  ASSERT_OK(Publish());
  EXPECT_EQ(FilesIn("objects").size(), 1u);
}

TEST_F(ObjectStoreTest, WritesManyContentsWhileMoreAreAdded) {
  constexpr int kMany = 1000;
  std::vector<ObjectId> added;
  added.reserve(kMany);
  for (int i = 0; i < kMany; ++i) added.push_back(Add("content " + std::to_string(i % 700)));
  EXPECT_GT(StagedFiles(), 0u) << "nothing is written before the end";
  ASSERT_OK(Publish());
  EXPECT_EQ(StagedFiles(), 0u);
  EXPECT_EQ(FilesIn("objects").size(), 700u);
  for (int i = 0; i < kMany; ++i)
    EXPECT_EQ(Content(added[static_cast<size_t>(i)]), "content " + std::to_string(i % 700));
}

TEST_F(ObjectStoreTest, AContentThatCouldNotBeWrittenStopsThePublishing) {
  // The directory goes away under the writer, as a full disk would stop it.
  std::filesystem::remove(base_ + "/staging");
  std::string content(1 << 20, 'x');  // which goes to the writer at once
  staging_->Begin();
  ASSERT_OK(staging_->Write(0, content));
  ASSERT_OK(staging_->Finish(content.size()));
  SyncSet set(dir_.get());
  auto staged = staging_->AddContents(set);
  ASSERT_FALSE(staged);
  EXPECT_EQ(staged.error().code(), ENOENT);
}

TEST_F(ObjectStoreTest, TheEmptyContentIsNoFile) {
  staging_->Begin();
  EXPECT_EQ(Must(staging_->Finish(0)), ObjectOf(""));
  EXPECT_EQ(StagedFiles(), 0u);
}

TEST_F(ObjectStoreTest, LeavesHolesAsHoles) {
  constexpr uint64_t kSize = 64 << 20;
  std::string whole(kSize, '\0');
  whole.replace(1 << 20, 4, "data");
  staging_->Begin();
  ASSERT_OK(staging_->Write(1 << 20, "data"));
  ObjectId id = Must(staging_->Finish(kSize));
  EXPECT_EQ(id, ObjectOf(whole)) << "holes count as zeros";
  ASSERT_OK(Publish());
  EXPECT_TRUE(Content(id) == whole);
  EXPECT_LT(Must(store().objects().AllocatedBytes(id)), 256u << 10);
}

TEST_F(ObjectStoreTest, WritesLargeContentsInPieces) {
  std::string whole;
  staging_->Begin();
  for (int i = 0; i < 40; ++i) {
    std::string piece(100000, static_cast<char>('a' + i % 26));
    ASSERT_OK(staging_->Write(whole.size(), piece));
    whole += piece;
  }
  ObjectId id = Must(staging_->Finish(whole.size()));
  EXPECT_EQ(id, ObjectOf(whole));
  ASSERT_OK(Publish());
  EXPECT_TRUE(Content(id) == whole);
}

TEST_F(ObjectStoreTest, AContentThatWasGivenUpLeavesNothing) {
  for (const std::string& given_up : {std::string("part"), std::string(3 << 20, 'x')}) {
    staging_->Begin();
    ASSERT_OK(staging_->Write(0, given_up));
    EXPECT_EQ(Add("hello"), ObjectOf("hello"));
  }
  ASSERT_OK(Publish());
  EXPECT_EQ(FilesIn("objects").size(), 1u);
}

TEST_F(ObjectStoreTest, AddsAFileAndTeesItsBytes) {
  for (size_t size : {size_t{0}, size_t{5}, size_t{3 << 20} + 17}) {
    std::string whole(size, 'x');
    std::string path = base_ + "/file";
    std::ofstream(path, std::ios::trunc) << whole;
    UniqueFd fd = Must(OpenAt(AT_FDCWD, path, O_RDONLY));
    std::string teed;
    ObjectId id = Must(staging_->AddFile(fd.get(), size, [&](std::string_view piece) -> Result<> {
      teed += piece;
      return {};
    }));
    EXPECT_EQ(id, ObjectOf(whole));
    EXPECT_TRUE(teed == whole);
  }
}

TEST_F(ObjectStoreTest, AFileThatGotShorterReadsAsZeros) {
  std::string path = base_ + "/file";
  std::ofstream(path) << "short";
  UniqueFd fd = Must(OpenAt(AT_FDCWD, path, O_RDONLY));
  ObjectId id = Must(staging_->AddFile(fd.get(), 8, [](std::string_view) { return Result<>(); }));
  EXPECT_EQ(id, ObjectOf(std::string_view("short\0\0\0", 8)));
}

TEST_F(ObjectStoreTest, ListsWhatIsThere) {
  std::vector<ObjectId> added = {Add("a"), Add("b"), Add("c")};
  ASSERT_OK(Publish());
  std::vector<ObjectId> seen;
  ASSERT_OK(store().objects().ForEach([&](const ObjectId& id) -> Result<> {
    seen.push_back(id);
    return {};
  }));
  EXPECT_THAT(seen, ::testing::UnorderedElementsAreArray(added));
}

TEST_F(ObjectStoreTest, RemovingWhatIsNotThereSucceeds) {
  EXPECT_OK(store().objects().Remove(ObjectOf("never")));
  auto open = store().objects().Open(ObjectOf("never"));
  ASSERT_FALSE(open);
  EXPECT_EQ(open.error().code(), ENOENT);
}

}  // namespace
}  // namespace veneer
