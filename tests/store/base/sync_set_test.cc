#include "store/base/sync_set.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "store/base/beneath.h"

namespace veneer {
namespace {

class SyncSetTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "veneer-sync-XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    path_ = pattern;
    dir_ = *OpenAt(AT_FDCWD, path_, O_RDONLY | O_DIRECTORY);
    std::ofstream(path_ + "/file") << "content";
  }
  void TearDown() override { std::filesystem::remove_all(path_); }

  std::string path_;
  UniqueFd dir_;
};

TEST_F(SyncSetTest, SyncsFilesAndDirectories) {
  SyncSet set(dir_.get());
  set.Add(dir_.get(), "file");
  set.Add(AT_FDCWD, path_);
  EXPECT_TRUE(set.Sync());
}

TEST_F(SyncSetTest, SaysWhatIsMissing) {
  SyncSet set(dir_.get());
  set.Add(dir_.get(), "file");
  set.Add(dir_.get(), "missing");
  auto synced = set.Sync();
  ASSERT_FALSE(synced);
  EXPECT_EQ(synced.error().code(), ENOENT);
}

TEST_F(SyncSetTest, ManyAreSyncedTogether) {
  SyncSet set(dir_.get());
  // Were they opened one by one, they would be missed.
  for (int i = 0; i < 100; ++i) set.Add(dir_.get(), "missing" + std::to_string(i));
  EXPECT_TRUE(set.Sync());
}

TEST_F(SyncSetTest, IsEmptyAfterwards) {
  SyncSet set(dir_.get());
  set.Add(dir_.get(), "file");
  ASSERT_TRUE(set.Sync());
  std::filesystem::remove(path_ + "/file");
  EXPECT_TRUE(set.Sync());
}

}  // namespace
}  // namespace veneer
