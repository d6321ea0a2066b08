#include "store/step_layer.h"

#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/xattr.h>

#include "store/base/beneath.h"
#include "tests/store/store_fixture.h"

namespace veneer {
namespace {

using test::Must;

constexpr size_t kLarge = 5 << 20;

class StepLayer : public test::StoreTest {
 protected:
  void SetUp() override {
    StoreTest::SetUp();
    base_layer_ = Must(test::AddLayer(
        store(), test::MakeTar({{.path = "./", .type = AE_IFDIR, .permissions = 01751, .uid = 7},
                                test::Folder("d/"),
                                {.path = "d/old", .content = "old"}})));
    chain_ = OpenChain(store(), {base_layer_});
    Begin();
  }
  void TearDown() override {
    session_.reset();
    StoreTest::TearDown();
  }

  void Begin() {
    session_ = Must(IngestSession::Begin(store()));
    upper_ = Must(MakeStepUpper(*session_, *chain_));
  }
  std::string In(const std::string& path) const { return upper_.upper + "/" + path; }
  void Write(const std::string& path, const std::string& content) const {
    std::ofstream(In(path), std::ios::binary) << content;
    SetTime(path, 1700000000, 5);
  }
  void SetTime(const std::string& path, int64_t seconds, long nanoseconds) const {
    timespec times[2] = {{0, UTIME_OMIT}, {seconds, nanoseconds}};
    ASSERT_EQ(utimensat(AT_FDCWD, In(path).c_str(), times, AT_SYMLINK_NOFOLLOW), 0) << path;
  }
  struct stat Stat(const std::string& path) const {
    struct stat st = {};
    EXPECT_EQ(lstat(path.c_str(), &st), 0) << path;
    return st;
  }

  StagedLayer Stage(const StepLayerOptions& options = {}) {
    UniqueFd fd = Must(OpenAt(AT_FDCWD, upper_.upper, O_RDONLY | O_DIRECTORY));
    return Must(StageUpper(*session_, fd.get(), *chain_, options));
  }
  // Stages and publishes; opens the chain with the new layer.
  std::shared_ptr<tree::MergedTree> Publish(const StepLayerOptions& options = {}) {
    StagedLayer layer = Stage(options);
    layer_ = layer.row.diff_id;
    EXPECT_OK(session_->Publish({&layer, 1}, [] { return Result<>(); }));
    return OpenChain(store(), {base_layer_, layer_});
  }
  static std::shared_ptr<tree::MergedTree> OpenChain(Store& in, const std::vector<DiffId>& layers) {
    return Must(in.chains().Open(layers));
  }
  static tree::Inode Get(const tree::MergedTree& chain, const std::string& path) {
    auto ino = Must(chain.LookupPath(path));
    EXPECT_TRUE(ino) << path;
    return Must(chain.Get(ino.value_or(tree::kRootIno)));
  }
  std::string ContentOf(const tree::Inode& inode) {
    return Must(ReadFileAt(AT_FDCWD, PathOf(inode.object), 2 * kLarge));
  }
  bool CanClone() {
    UniqueFd from = Must(OpenAt(AT_FDCWD, base_, O_TMPFILE | O_RDWR, 0600));
    UniqueFd to = Must(OpenAt(AT_FDCWD, base_, O_TMPFILE | O_RDWR, 0600));
    return ioctl(to.get(), FICLONE, from.get()) == 0;
  }

  DiffId base_layer_;
  DiffId layer_;  // of the last Publish
  std::shared_ptr<tree::MergedTree> chain_;
  std::unique_ptr<IngestSession> session_;
  StepUpper upper_;
};

TEST_F(StepLayer, AnUpperIsTheSessionsAndLooksLikeTheChainsRoot) {
  EXPECT_TRUE(upper_.upper.starts_with(session_->path() + "/"));
  EXPECT_TRUE(session_->path().starts_with(root_ + "/ingest/"));
  struct stat st = Stat(upper_.upper);
  EXPECT_EQ(st.st_mode & 07777, 01751u);
  EXPECT_EQ(st.st_uid, 7u);
  EXPECT_EQ(st.st_mtim.tv_sec, 1700000000);
  EXPECT_TRUE(std::filesystem::is_empty(upper_.work));
  EXPECT_EQ(Stat(session_->path()).st_mode & 077, 0u) << "nobody else gets at it";
  StepUpper second = Must(MakeStepUpper(*session_, *chain_));
  EXPECT_NE(second.upper, upper_.upper);
  session_.reset();
  EXPECT_TRUE(std::filesystem::is_empty(PathOf("ingest")));
}

TEST_F(StepLayer, NothingWrittenIsTheEmptyLayer) {
  EXPECT_EQ(Stage().row.diff_id.ToString(),
            "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef");
}

TEST_F(StepLayer, HoldsWhatTheStepWrote) {
  Write("new", "content");
  uint64_t read = 0;
  auto chain = Publish({.on_bytes = [&](uint64_t n) { read += n; }});
  EXPECT_EQ(ContentOf(Get(*chain, "new")), "content");
  EXPECT_EQ(ContentOf(Get(*chain, "d/old")), "old");
  EXPECT_EQ(Get(*chain, "new").attr.mtime_sec, 1700000000);
  EXPECT_EQ(Get(*chain, "new").attr.mtime_nsec, 5u);
  EXPECT_EQ(read, 7u);
}

TEST_F(StepLayer, LaterTimesBecomeTheLatest) {
  constexpr int64_t kLatest = 1600000000;
  Write("later", "x");
  SetTime("later", kLatest + 1, 7);
  Write("barely", "x");
  SetTime("barely", kLatest, 1);
  Write("same", "x");
  SetTime("same", kLatest, 0);
  Write("earlier", "x");
  SetTime("earlier", kLatest - 1, 999);
  ASSERT_EQ(mkdir(In("dir").c_str(), 0755), 0);
  ASSERT_EQ(symlink("to", In("link").c_str()), 0);
  ASSERT_EQ(link(In("later").c_str(), In("second").c_str()), 0);
  auto chain = Publish({.latest_mtime = kLatest});
  for (const char* path : {"later", "barely", "same", "dir", "link", "second", ""}) {
    tree::Inode inode = Get(*chain, path);
    EXPECT_EQ(inode.attr.mtime_sec, kLatest) << path;
    EXPECT_EQ(inode.attr.mtime_nsec, 0u) << path;
  }
  EXPECT_EQ(Get(*chain, "earlier").attr.mtime_sec, kLatest - 1);
  EXPECT_EQ(Get(*chain, "earlier").attr.mtime_nsec, 999u);
  EXPECT_EQ(Get(*chain, "d/old").attr.mtime_sec, 1700000000) << "the layers below are as they are";
  // The tar says the same: loaded elsewhere it is the same tree.
  auto other = Must(Store::Open(base_ + "/other"));
  EXPECT_EQ(Must(test::AddLayer(*other, Must(test::TarOf(store(), layer_)))), layer_);
  auto again = OpenChain(*other, {layer_});
  for (const char* path : {"later", "second", "dir", "link"})
    EXPECT_EQ(Get(*again, path).attr.mtime_sec, kLatest) << path;
}

TEST_F(StepLayer, ALargeFileBecomesTheObjectAndTheLayerIsThatOfACopy) {
  if (CanClone()) GTEST_SKIP() << "this filesystem clones";
  auto write = [&] {
    Write("large", std::string(kLarge, 'x') + "end");
    EXPECT_EQ(setxattr(In("large").c_str(), "user.note", "v", 1, 0), 0);
    EXPECT_EQ(chown(In("large").c_str(), 5, 6), 0);
    EXPECT_EQ(chmod(In("large").c_str(), 04755), 0);
    SetTime("large", 1700000000, 0);
    SetTime(".", 1700000000, 0);
  };
  write();
  const ino_t before = Stat(In("large")).st_ino;
  auto chain = Publish();
  tree::Inode inode = Get(*chain, "large");
  session_.reset();
  struct stat st = Stat(PathOf(inode.object));
  EXPECT_EQ(st.st_ino, before) << "it was copied";
  EXPECT_EQ(st.st_nlink, 1u);
  EXPECT_EQ(st.st_mode & 07777, 0444u);
  EXPECT_EQ(st.st_uid, geteuid());
  EXPECT_LT(getxattr(PathOf(inode.object).c_str(), "user.note", nullptr, 0), 0);
  EXPECT_EQ(ContentOf(inode), std::string(kLarge, 'x') + "end");
  EXPECT_EQ(inode.attr.mode & 07777, 04755u);
  EXPECT_EQ(inode.attr.uid, 5u);
  EXPECT_EQ(Must(test::TarOf(store(), layer_)).size() % 512, 0u);

  // The same again, while somebody could write to it.
  const DiffId kept = layer_;
  ASSERT_EQ(unlink(PathOf(inode.object).c_str()), 0);
  Begin();
  write();
  UniqueFd writer = Must(OpenAt(AT_FDCWD, In("large"), O_RDWR));
  const ino_t second = Stat(In("large")).st_ino;
  inode = Get(*Publish(), "large");
  EXPECT_EQ(layer_, kept);
  EXPECT_NE(Stat(PathOf(inode.object)).st_ino, second);
  ASSERT_TRUE(PwriteAll(writer.get(), "changed", 0));
  EXPECT_EQ(ContentOf(inode), std::string(kLarge, 'x') + "end");
}

TEST_F(StepLayer, AFileWithSeveralNamesIsCopied) {
  Write("one", std::string(kLarge, 'x'));
  ASSERT_EQ(chmod(In("one").c_str(), 0640), 0);
  ASSERT_EQ(link(In("one").c_str(), In("two").c_str()), 0);
  auto chain = Publish();
  EXPECT_EQ(Must(chain->LookupPath("one")), Must(chain->LookupPath("two")));
  tree::Inode inode = Get(*chain, "two");
  EXPECT_EQ(inode.attr.mode & 07777, 0640u);
  EXPECT_EQ(Stat(PathOf(inode.object)).st_nlink, 1u);
  EXPECT_EQ(Stat(In("one")).st_mode & 07777, 0640u);
}

TEST_F(StepLayer, AFileOfHolesKeepsThem) {
  Write("sparse", "");
  ASSERT_EQ(truncate(In("sparse").c_str(), kLarge), 0);
  tree::Inode inode = Get(*Publish(), "sparse");
  struct stat st = Stat(PathOf(inode.object));
  EXPECT_EQ(static_cast<size_t>(st.st_size), kLarge);
  EXPECT_LT(st.st_blocks * 512, 1 << 20);
}

}  // namespace
}  // namespace veneer
