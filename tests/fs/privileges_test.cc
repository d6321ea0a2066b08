// Setuid and capabilities: who writes takes them away, whatever others change at the same time. By
// the engine alone: a kernel does some of this itself, and one thing after the other.
#include <fcntl.h>

#include <cerrno>
#include <chrono>
#include <future>
#include <string>
#include <vector>

#include "fs/open_overlay.h"
#include "tests/fs/work_dir.h"

namespace veneer::fs::testing {
namespace {

class Privileges : public ::testing::TestWithParam<Kind> {
 protected:
  void Start(const std::string& options = "") {
    WorkDir::Setup setup;
    setup.kind = GetParam();
    setup.populate = [](const std::string& dir) {
      WriteFile(dir + "/f", "lower");
      ASSERT_EQ(chmod((dir + "/f").c_str(), 06775), 0);
    };
    setup.options = options;
    setup.mounted = false;
    work_ = std::make_unique<WorkDir>(setup);
    std::vector<std::string> args = {"-o", work_->mount_options(), work_->path()};
    auto parsed = ParseOptions(args, true);
    ASSERT_TRUE(parsed) << parsed.error().Message();
    auto opened = OpenOverlay(*parsed);
    ASSERT_TRUE(opened) << opened.error().Message();
    overlay_ = std::move(*opened);
    auto entry = overlay_->Lookup(NodeId::kRoot, "f");
    ASSERT_TRUE(entry) << entry.error().Message();
    node_ = entry->node;
    auto handle = overlay_->Open(node_, O_WRONLY);
    ASSERT_TRUE(handle) << handle.error().Message();
    handle_ = *handle;
  }
  void TearDown() override {
    if (overlay_) overlay_->Release(handle_);
    overlay_.reset();
    work_.reset();
  }
  void Write(const KillSuid& kill_suidgid = nullptr) {
    EXPECT_TRUE(overlay_->Write(handle_, "x", 0, kill_suidgid));
  }
  void Chmod(mode_t mode) {
    AttrChange change;
    change.mode = mode;
    EXPECT_TRUE(overlay_->SetAttr(node_, change));
  }
  mode_t Mode() {
    auto st = overlay_->GetAttr(node_);
    return st ? st->st_mode & 07777 : 0;
  }
  bool Capable() { return overlay_->GetXattr(node_, "security.capability").has_value(); }
  void SetCapability() {
    const std::string capability("\1\0\0\2\0\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20);
    EXPECT_TRUE(overlay_->SetXattr(node_, "security.capability", capability, 0));
    EXPECT_TRUE(Capable());
  }

 private:
  std::unique_ptr<WorkDir> work_;
  std::unique_ptr<Overlay> overlay_;
  NodeId node_ = NodeId::kRoot;
  HandleId handle_ = {};
};

TEST_P(Privileges, AModeThatIsSetWhileAWriteTakesSetuidIsNotLost) {
  for (const char* options : {"", "xattr_permissions=2"}) {
    TearDown();
    Start(options);
    std::future<void> other;
    Write([&](gid_t) {  // the write has read the mode, and is about to change it
      other = std::async(std::launch::async, [&] { Chmod(04711); });
      other.wait_for(std::chrono::milliseconds(200));
      return true;
    });
    ASSERT_TRUE(other.valid());
    other.get();
    EXPECT_EQ(Mode(), 04711u) << options;
    // Nor is it forgotten that there is something to take again.
    Write([](gid_t) { return true; });
    EXPECT_EQ(Mode(), 0711u) << options;
  }
}

TEST_P(Privileges, EachWriteTakesTheCapabilitiesThatWereSetSince) {
  Start("xattr_permissions=2");
  for (int round = 0; round < 3; ++round) {
    Write();
    EXPECT_FALSE(Capable()) << round;
    SetCapability();
  }
}

VENEER_OVER_MOUNTS(Privileges);

}  // namespace
}  // namespace veneer::fs::testing
