// Lowers in the forms that other programs leave, read as root: every marker under every prefix.
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "tests/fs/work_dir.h"

namespace veneer::fs::testing {
namespace {

// A read-only mount of `top` over `bottom`, both below one folder.
class LowerForm : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    for (const char* name : {"/top", "/bottom", "/m"}) MakeDirs(scratch_.path() + name);
  }
  void TearDown() override {
    if (mounted_) {
      EXPECT_EQ(umount2(At("").c_str(), 0), 0);
    }
  }
  void Mount() {
    RunResult run = RunVeneerfs({"-o", "lowerdir=" + Top("") + ":" + Bottom(""), At("")});
    ASSERT_EQ(run.status, 0) << run.error;
    mounted_ = true;
  }
  void Mark(const std::string& path, const std::string& marker, const std::string& value) {
    ASSERT_EQ(setxattr(path.c_str(), (GetParam() + marker).c_str(), value.data(), value.size(), 0),
              0)
        << path;
  }
  std::string Top(const std::string& name) { return scratch_ / "top" + name; }
  std::string Bottom(const std::string& name) { return scratch_ / "bottom" + name; }
  std::string At(const std::string& name) { return scratch_ / "m" + name; }

 private:
  Scratch scratch_;
  bool mounted_ = false;
};

TEST_P(LowerForm, RedirectsLeadToTheDirectoryBelow) {
  MakeDirs(Bottom("/from/sub"));
  MakeDirs(Bottom("/deep/sibling"));
  WriteFile(Bottom("/from/sub/f"), "from");
  WriteFile(Bottom("/deep/sibling/f"), "sibling");
  for (const char* name : {"/absolute", "/deep/relative", "/nowhere"}) MakeDirs(Top(name));
  WriteFile(Top("/absolute/own"), "own");
  Mark(Top("/absolute"), "redirect", "/from");
  Mark(Top("/deep/relative"), "redirect", "sibling");
  Mark(Top("/nowhere"), "redirect", "/not/there");
  Mount();
  EXPECT_EQ(ListDir(At("/absolute")), (std::vector<std::string>{"own", "sub"}));
  EXPECT_EQ(ReadFile(At("/absolute/sub/f")), "from");
  EXPECT_EQ(ReadFile(At("/deep/relative/f")), "sibling");
  EXPECT_TRUE(ListDir(At("/nowhere")).empty());
}

TEST_P(LowerForm, MetadataOnlyFilesShowTheDataBelow) {
  MakeDirs(Bottom("/d"));
  MakeDirs(Top("/d"));
  for (const char* name : {"/same", "/d/sibling", "/d/other"}) {
    WriteFile(Bottom(name), std::string("data of ") + name);
  }
  auto stub = [&](const std::string& name, size_t size, const std::string& redirect) {
    WriteFile(Top(name), "", 0600);
    ASSERT_EQ(truncate(Top(name).c_str(), static_cast<off_t>(size)), 0);
    Mark(Top(name), "metacopy", "");
    if (!redirect.empty()) Mark(Top(name), "redirect", redirect);
  };
  stub("/same", 13, "");
  stub("/d/relative", 18, "sibling");
  stub("/absolute", 16, "/d/other");
  stub("/lost", 5, "/not/there");
  Mount();
  EXPECT_EQ(ReadFile(At("/same")), "data of /same");
  EXPECT_EQ(Stat(At("/same")).st_mode & 07777, 0600u);
  EXPECT_EQ(ReadFile(At("/d/relative")), "data of /d/sibling");
  EXPECT_EQ(ReadFile(At("/absolute")), "data of /d/other");
  EXPECT_EQ(open(At("/lost").c_str(), O_RDONLY | O_CLOEXEC), -1);
  EXPECT_EQ(errno, EIO);
}

TEST_P(LowerForm, OpaqueDirectoriesAndWhiteoutsHideWhatIsBelow) {
  for (const char* name : {"/opaque", "/merged"}) {
    MakeDirs(Bottom(name));
    MakeDirs(Top(name));
    WriteFile(Bottom(name) + "/below", "below");
    WriteFile(Top(name) + "/above", "above");
  }
  WriteFile(Bottom("/merged/gone"), "gone");
  WriteFile(Top("/merged/gone"), "");
  Mark(Top("/opaque"), "opaque", "y");
  Mark(Top("/merged"), "opaque", "x");
  Mark(Top("/merged/gone"), "whiteout", "y");
  Mount();
  EXPECT_EQ(ListDir(At("/opaque")), std::vector<std::string>{"above"});
  EXPECT_EQ(ListDir(At("/merged")), (std::vector<std::string>{"above", "below"}));
  EXPECT_FALSE(Exists(At("/merged/gone")));
  EXPECT_FALSE(Exists(At("/opaque/below")));
  EXPECT_EQ(listxattr(At("/opaque").c_str(), nullptr, 0), 0) << "markers are not shown";
  // How many subdirectories it has nobody has counted.
  EXPECT_EQ(Stat(At("/merged")).st_nlink, 1u);
  EXPECT_EQ(Stat(At("/opaque")).st_nlink, 2u);
}

INSTANTIATE_TEST_SUITE_P(Each, LowerForm,
                         ::testing::Values("trusted.overlay.", "user.overlay.",
                                           "user.fuseoverlayfs."),
                         [](const auto& test) {
                           std::string name = test.param;
                           return name.starts_with("trusted") ? std::string("Trusted")
                                  : name == "user.overlay."   ? std::string("User")
                                                              : std::string("FuseOverlayfs");
                         });

}  // namespace
}  // namespace veneer::fs::testing
