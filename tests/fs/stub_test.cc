// A metadata-only file whose data comes, and who changes or looks at it meanwhile. By the engine
// alone: a kernel does one thing after the other.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include <algorithm>
#include <chrono>
#include <future>
#include <string>
#include <thread>

#include "fs/open_overlay.h"
#include "fs/options.h"
#include "fs/overlay.h"
#include "store/base/fault.h"
#include "tests/fs/work_dir.h"

namespace veneer::fs::testing {
namespace {

using std::chrono::milliseconds;

constexpr const char* kCapability = "security.capability";

class Stub : public ::testing::TestWithParam<Kind> {
 protected:
  void SetUp() override {
    work_ = std::make_unique<WorkDir>(WorkDir::Setup{
        .kind = GetParam(),
        .populate = [](const std::string& dir) { WriteFile(dir + "/f", Lower(), 0755); },
        .options = GetParam() == Kind::kStack ? "metacopy=on" : ""});
    const std::string file = *work_ / "f";
    ASSERT_EQ(chmod(file.c_str(), 04755), 0);
    const std::string value = Value();
    ASSERT_EQ(setxattr(file.c_str(), kCapability, value.data(), value.size(), 0), 0);
    work_->Unmount();
    std::vector<std::string> args = {"-o", work_->mount_options(), work_->path()};
    auto parsed = ParseOptions(args, true);
    ASSERT_TRUE(parsed) << parsed.error().Message();
    auto opened = OpenOverlay(*parsed);
    ASSERT_TRUE(opened) << opened.error().Message();
    overlay_ = std::move(*opened);
  }
  void TearDown() override {
    ASSERT_TRUE(ArmFaults(""));
    overlay_.reset();
    work_.reset();
  }
  static std::string Lower() { return std::string(200'000, 'f'); }
  static std::string Value() { return std::string("\1\0\0\2\0\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20); }
  NodeId Look() {
    auto entry = overlay_->Lookup(NodeId::kRoot, "f");
    EXPECT_TRUE(entry) << entry.error().Message();
    return entry ? entry->node : NodeId::kRoot;
  }
  bool Capable(NodeId node) {
    auto value = overlay_->GetXattr(node, kCapability);
    return value && *value == Value();
  }
  // Opens it to write, which brings its data; the error, or 0.
  int Fill(NodeId node) {
    auto handle = overlay_->Open(node, O_RDWR);
    if (!handle) return handle.error().code();
    overlay_->Release(*handle);
    return 0;
  }
  template <typename Body>
  static auto Meanwhile(Body body) {
    return std::async(std::launch::async, body);
  }

  std::unique_ptr<WorkDir> work_;
  std::unique_ptr<Overlay> overlay_;
};

TEST_P(Stub, WhoFoundItDoesNotUndoItsFilling) {
  ASSERT_TRUE(ArmFaults("stub.before_settled=delay:400"));
  auto first = Meanwhile([&] { return Look(); });
  std::this_thread::sleep_for(milliseconds(100));
  NodeId node = Look();
  auto handle = overlay_->Open(node, O_RDWR);
  ASSERT_TRUE(handle) << handle.error().Message();
  EXPECT_TRUE(overlay_->Write(*handle, "new", 0, nullptr));
  EXPECT_EQ(first.get(), node);
  std::string content(Lower().size(), '\0');
  auto n = overlay_->Read(*handle, content.data(), content.size(), 0);
  ASSERT_TRUE(n && *n == content.size());
  EXPECT_TRUE(content == "new" + Lower().substr(3));
  overlay_->Release(*handle);
}

TEST_P(Stub, KeepsItsCapabilitiesWhenFillingFails) {
  NodeId node = Look();
  ASSERT_TRUE(ArmFaults("copy_up.after_stub_data=error:ENOSPC"));
  EXPECT_EQ(Fill(node), ENOSPC);
  EXPECT_TRUE(Capable(node));
  EXPECT_EQ(Xattr(work_->upper() + "/f", kCapability), Value());
  EXPECT_EQ(Fill(node), 0);
  EXPECT_TRUE(Capable(node));
}

TEST_P(Stub, CapabilitiesAreListedWhileItIsFilled) {
  NodeId node = Look();
  ASSERT_TRUE(ArmFaults("copy_up.after_stub_data=delay:300"));
  auto filling = Meanwhile([&] { return Fill(node); });
  do {
    auto names = overlay_->ListXattr(node);
    ASSERT_TRUE(names);
    EXPECT_NE(std::find(names->begin(), names->end(), kCapability), names->end());
  } while (filling.wait_for(milliseconds(5)) == std::future_status::timeout);
  EXPECT_EQ(filling.get(), 0);
}

TEST_P(Stub, ModesThatAreSetWhileItIsFilledLast) {
  NodeId node = Look();
  ASSERT_TRUE(ArmFaults("setattr.before_change=delay:200;copy_up.after_stub_data=delay:400"));
  auto changing = Meanwhile([&] {
    AttrChange change;
    change.mode = 0700;
    change.mtime = timespec{1000, 0};
    return overlay_->SetAttr(node, change).has_value();
  });
  std::this_thread::sleep_for(milliseconds(50));
  EXPECT_EQ(Fill(node), 0);
  EXPECT_TRUE(changing.get());
  auto st = overlay_->GetAttr(node);
  ASSERT_TRUE(st);
  EXPECT_EQ(st->st_mode & 07777, 0700u);
  EXPECT_EQ(st->st_mtim.tv_sec, 1000);
}

TEST_P(Stub, CapabilitiesThatAreRemovedWhileItIsFilledStayAway) {
  NodeId node = Look();
  ASSERT_TRUE(ArmFaults("setxattr.before_change=delay:200;copy_up.after_stub_data=delay:400"));
  auto removing = Meanwhile([&] { return overlay_->RemoveXattr(node, kCapability).has_value(); });
  std::this_thread::sleep_for(milliseconds(50));
  EXPECT_EQ(Fill(node), 0);
  EXPECT_TRUE(removing.get());
  EXPECT_FALSE(overlay_->GetXattr(node, kCapability));
  EXPECT_EQ(Xattr(work_->upper() + "/f", kCapability), "");
}

VENEER_OVER_MOUNTS(Stub);

}  // namespace
}  // namespace veneer::fs::testing
