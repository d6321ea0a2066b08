// Removing a name asks the lower for it once.
#include <sys/stat.h>

#include <future>
#include <map>
#include <string>
#include <utility>

#include "fs/dir_stack_lower.h"
#include "fs/overlay.h"
#include "tests/fs/work_dir.h"

namespace veneer::fs::testing {
namespace {

// A lower that counts what it is asked.
class CountingLower : public Lower {
 public:
  explicit CountingLower(std::unique_ptr<Lower> lower) : lower_(std::move(lower)) {}
  std::map<std::string, int, std::less<>> lookups;  // by name
  int attributes = 0;

  Result<LowerRef> Root() override { return lower_->Root(); }
  Result<LowerRef> Lookup(const LowerRef& dir, std::string_view name) override {
    ++lookups[std::string(name)];
    return lower_->Lookup(dir, name);
  }
  Result<LowerRef> LookupWithAttr(const LowerRef& dir, std::string_view name,
                                  std::optional<struct stat>& attr) override {
    ++lookups[std::string(name)];
    return lower_->LookupWithAttr(dir, name, attr);
  }
  Result<struct stat> Attr(const LowerRef& ref) override {
    ++attributes;
    return lower_->Attr(ref);
  }
  Result<> ForEach(const LowerRef& dir, const Visit& visit) override {
    return lower_->ForEach(dir, visit);
  }
  Result<std::string> LinkTarget(const LowerRef& ref) override { return lower_->LinkTarget(ref); }
  Result<std::vector<std::string>> XattrNames(const LowerRef& ref) override {
    return lower_->XattrNames(ref);
  }
  Result<std::string> Xattr(const LowerRef& ref, const std::string& name) override {
    return lower_->Xattr(ref, name);
  }
  Result<UniqueFd> Open(const LowerRef& ref) override { return lower_->Open(ref); }
  Result<std::optional<DataMark>> MarkOf(const LowerRef& ref) override {
    return lower_->MarkOf(ref);
  }
  Result<LowerRef> FromMark(const DataMark& mark, const LowerRef& dir,
                            std::string_view name) override {
    return lower_->FromMark(mark, dir, name);
  }
  std::optional<std::string> Origin(const LowerRef& ref) override { return lower_->Origin(ref); }
  std::optional<OriginFile> FromOrigin(std::string_view origin) override {
    return lower_->FromOrigin(origin);
  }
  std::string Identity() const override { return lower_->Identity(); }
  Result<struct statvfs> StatFs() override { return lower_->StatFs(); }

 private:
  std::unique_ptr<Lower> lower_;
};

class Removal : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const char* name : {"lower/empty", "lower/merged", "lower/moved", "upper", "work"}) {
      MakeDirs(scratch_ / name);
    }
    for (const char* name : {"a", "b", "c", "linked"}) WriteFile(scratch_ / "lower/" + name, name);
    ASSERT_EQ(link((scratch_ / "lower/linked").c_str(), (scratch_ / "lower/other").c_str()), 0);
    Overlay::Parts parts;
    parts.cache = std::make_unique<FdCache>(64);
    auto stack = DirStackLower::Open({scratch_ / "lower"}, parts.cache.get());
    ASSERT_TRUE(stack) << stack.error().Message();
    auto lower = std::make_unique<CountingLower>(std::move(*stack));
    lower_ = lower.get();
    parts.lower = std::move(lower);
    auto upper = Upper::Open({.upperdir = scratch_ / "upper",
                              .workdir = scratch_ / "work",
                              .identity = lower_->Identity()});
    ASSERT_TRUE(upper) << upper.error().Message();
    parts.upper = std::move(*upper);
    auto overlay = Overlay::Create(std::move(parts));
    ASSERT_TRUE(overlay) << overlay.error().Message();
    overlay_ = std::move(*overlay);
  }
  NodeId Node(const std::string& name) {
    auto entry = overlay_->Lookup(NodeId::kRoot, name);
    EXPECT_TRUE(entry) << name;
    return entry ? entry->node : NodeId::kRoot;
  }
  // Creating changes what belongs to a thread (umask, securebits): not this one's.
  void Make(const std::string& name) {
    auto made = std::async(std::launch::async, [&] {
                  return overlay_->MakeNode(NodeId::kRoot, name, S_IFREG | 0600, 0, {});
                }).get();
    EXPECT_TRUE(made) << name;
  }
  // As when somebody changed it.
  void BringUp(const std::string& name) {
    auto done = overlay_->SetXattr(Node(name), "user.note", "x", 0);
    EXPECT_TRUE(done) << done.error().Message();
  }
  // How often the lower is asked for `name` while `change` is done; its attributes, not at all.
  template <typename Change>
  int Lookups(const std::string& name, const Change& change) {
    lower_->lookups.clear();
    lower_->attributes = 0;
    Result<> done = change();
    EXPECT_TRUE(done) << name << ": " << done.error().Message();
    EXPECT_EQ(lower_->attributes, 0) << name;
    return lower_->lookups[name];
  }
  int Unlink(const std::string& name) {
    return Lookups(name, [&] { return overlay_->Unlink(NodeId::kRoot, name); });
  }
  int RemoveDir(const std::string& name) {
    return Lookups(name, [&] { return overlay_->RemoveDir(NodeId::kRoot, name); });
  }
  bool IsWhiteout(const std::string& name) {
    struct stat st = {};
    return lstat((scratch_ / "upper/" + name).c_str(), &st) == 0 && S_ISCHR(st.st_mode) &&
           st.st_rdev == 0;
  }
  Scratch scratch_;
  CountingLower* lower_ = nullptr;
  std::unique_ptr<Overlay> overlay_;
};

TEST_F(Removal, AsksTheLowerOnce) {
  for (const char* name : {"a", "b"}) Node(name);
  BringUp("b");
  EXPECT_EQ(Unlink("a"), 1);
  EXPECT_EQ(Unlink("b"), 1) << "in the upper too";
  Make("born");
  EXPECT_EQ(Unlink("born"), 1) << "in the upper only";
  Make("a");
  EXPECT_EQ(Unlink("a"), 1) << "where a whiteout was";
  for (const char* name : {"a", "b"}) EXPECT_TRUE(IsWhiteout(name)) << name;
  EXPECT_FALSE(Exists(scratch_ / "upper/born"));
}

TEST_F(Removal, OfDirectoriesAsksTheLowerOnce) {
  BringUp("merged");
  EXPECT_EQ(RemoveDir("empty"), 1);
  EXPECT_EQ(RemoveDir("merged"), 1);
  // A directory from elsewhere says nothing of the lower's name where it is now.
  auto moved = overlay_->Rename(NodeId::kRoot, "moved", NodeId::kRoot, "free", 0);
  ASSERT_TRUE(moved) << moved.error().Message();
  EXPECT_EQ(RemoveDir("free"), 1);
  EXPECT_FALSE(Exists(scratch_ / "upper/free"));
  for (const char* name : {"empty", "merged", "moved"}) EXPECT_TRUE(IsWhiteout(name)) << name;
}

TEST_F(Removal, ByRenamingOverItAsksForEachNameTwice) {
  Make("new");
  auto rename = [&] { return overlay_->Rename(NodeId::kRoot, "new", NodeId::kRoot, "c", 0); };
  Node("c");
  EXPECT_EQ(Lookups("c", rename), 2) << "to find out what is needed, and under the lock";
  EXPECT_EQ(lower_->lookups["new"], 1);
  EXPECT_TRUE(Exists(scratch_ / "upper/c"));
}

// What the attributes that were found say of links is not lost.
TEST_F(Removal, OfALinkedFileCopiesItUpFirst) {
  Node("linked");
  ASSERT_TRUE(overlay_->Unlink(NodeId::kRoot, "linked"));
  EXPECT_EQ(ListDir(scratch_ / "work/index").size(), 1u);
  auto st = overlay_->GetAttr(Node("other"));
  ASSERT_TRUE(st);
  EXPECT_EQ(st->st_nlink, 1u);
  EXPECT_TRUE(IsWhiteout("linked"));
}

}  // namespace
}  // namespace veneer::fs::testing
