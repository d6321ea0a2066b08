// Setuid and capabilities: who writes takes them away, whatever others change at the same time. By
// the engine alone: a kernel does some of this itself, and one thing after the other.
#include <fcntl.h>
#include <sys/xattr.h>

#include <atomic>
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
  // Who makes files for others has a umask and securebits for that: not the tests' own thread.
  template <typename Make>
  auto Elsewhere(Make make) {
    return std::async(std::launch::async, make).get();
  }
  static std::string Capability() {
    return std::string("\1\0\0\2\0\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20);
  }
  bool RemoveCapability() {
    return overlay_->RemoveXattr(node_, "security.capability").has_value();
  }
  void SetCapability() {
    EXPECT_TRUE(overlay_->SetXattr(node_, "security.capability", Capability(), 0));
    EXPECT_TRUE(Capable());
  }

  std::unique_ptr<WorkDir> work_;
  std::unique_ptr<Overlay> overlay_;

 private:
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

TEST_P(Privileges, WhatAFileIsKnownToLackIsNotLookedForAgain) {
  Start();
  EXPECT_FALSE(Capable());
  const std::string file = work_->upper() + "/f";
  const std::string capability = Capability();
  ASSERT_EQ(setxattr(file.c_str(), "security.capability", capability.data(), capability.size(), 0),
            0);
  EXPECT_FALSE(Capable());  // nobody but the daemon sets anything: it was not asked
  Chmod(0700);
  EXPECT_FALSE(Capable());
  SetCapability();
  ASSERT_EQ(removexattr(file.c_str(), "security.capability"), 0);
  EXPECT_FALSE(Capable());  // what it has is looked at
}

TEST_P(Privileges, ANewFileIsKnownToHaveNoCapabilities) {
  Start();
  auto made = Elsewhere([&] { return overlay_->Create(NodeId::kRoot, "new", 0755, O_WRONLY, {}); });
  ASSERT_TRUE(made);
  const std::string file = work_->upper() + "/new";
  const std::string capability = Capability();
  ASSERT_EQ(setxattr(file.c_str(), "security.capability", capability.data(), capability.size(), 0),
            0);
  auto get = [&] { return overlay_->GetXattr(made->first.node, "security.capability"); };
  EXPECT_FALSE(get());  // the host was not asked
  ASSERT_TRUE(overlay_->SetXattr(made->first.node, "security.capability", capability, 0));
  EXPECT_TRUE(get());
  overlay_->Release(made->second);
}

TEST_P(Privileges, ADirectorysDefaultAclReachesNewEntriesAtOnce) {
  Start();
  auto entry = Elsewhere([&] { return overlay_->MakeDir(NodeId::kRoot, "d", 0755, {}); });
  ASSERT_TRUE(entry);
  auto acl = [&](NodeId node, const char* name) {
    return overlay_->GetXattr(node, name).has_value();
  };
  EXPECT_FALSE(acl(entry->node, "system.posix_acl_default"));
  EXPECT_FALSE(acl(entry->node, "system.posix_acl_access"));
  // u::rwx u:1000:rwx g::r-x m::rwx o::r-x
  const std::string value(
      "\2\0\0\0\1\0\7\0\377\377\377\377\2\0\7\0\350\3\0\0\4\0\5\0\377\377\377\377"
      "\20\0\7\0\377\377\377\377\40\0\5\0\377\377\377\377",
      44);
  ASSERT_TRUE(overlay_->SetXattr(entry->node, "system.posix_acl_default", value, 0));
  EXPECT_TRUE(acl(entry->node, "system.posix_acl_default"));
  auto inside = Elsewhere([&] { return overlay_->MakeDir(entry->node, "inside", 0755, {}); });
  ASSERT_TRUE(inside);
  EXPECT_TRUE(acl(inside->node, "system.posix_acl_default"));
  EXPECT_TRUE(acl(inside->node, "system.posix_acl_access"));
  EXPECT_FALSE(acl(entry->node, "system.posix_acl_access"));
  ASSERT_TRUE(overlay_->SetXattr(entry->node, "system.posix_acl_access", value, 0));
  EXPECT_TRUE(acl(entry->node, "system.posix_acl_access"));
}

TEST_P(Privileges, WhatIsSetIsThereHoweverOftenOthersAskMeanwhile) {
  Start();
  std::atomic<bool> done = false;
  std::vector<std::future<void>> others(3);
  for (auto& other : others) {
    other = std::async(std::launch::async, [&] {
      while (!done) (void)Capable();
    });
  }
  for (int round = 0; round < 300 && !HasFailure(); ++round) {
    SetCapability();
    EXPECT_TRUE(Capable()) << round;
    EXPECT_TRUE(RemoveCapability()) << round;
    EXPECT_FALSE(Capable()) << round;
  }
  done = true;
}

// Bringing a stub's data takes its capabilities away for a while: who looks then must not be
// believed for ever.
TEST_P(Privileges, AStubsCapabilitiesOutliveItsCopyUp) {
  WorkDir work(
      {.kind = GetParam(),
       .populate =
           [](const std::string& dir) { WriteFile(dir + "/f", std::string(1 << 16, 'f'), 0755); },
       .options = GetParam() == Kind::kStack ? "metacopy=on" : ""});
  const std::string capability = Capability();
  auto has = [&] { return Xattr(work / "f", "security.capability") == capability; };
  ASSERT_EQ(setxattr((work / "f").c_str(), "security.capability", capability.data(),
                     capability.size(), 0),
            0);
  work.Unmount();
  work.Mount("copy_up.after_stub_data=delay:500");
  EXPECT_TRUE(has());
  auto opens = std::async(std::launch::async, [&] { OpenFile(work / "f", O_RDWR); });
  while (opens.wait_for(std::chrono::milliseconds(1)) == std::future_status::timeout) {
    EXPECT_TRUE(has()) << "meanwhile";
  }
  EXPECT_TRUE(has());
}

VENEER_OVER_MOUNTS(Privileges);

}  // namespace
}  // namespace veneer::fs::testing
