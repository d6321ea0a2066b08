// Extended attributes: kept over copy-up, markers hidden, look-alikes escaped, symlinks never
// followed.
#include <fcntl.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>

#include "tests/conformance/conformance.h"

namespace veneer::fs::conformance {
namespace {

using testing::MakeDirs;
using testing::WriteFile;
using Names = std::vector<std::string>;

class Xattrs : public Conformance {
 protected:
  void Populate(const std::string& dir) override {
    WriteFile(dir + "/f", "lower");
    MakeDirs(dir + "/d");
    ASSERT_EQ(symlink("f", (dir + "/s").c_str()), 0);
    ASSERT_EQ(setxattr((dir + "/f").c_str(), "user.kept", "1", 1, 0), 0);
    ASSERT_EQ(setxattr((dir + "/d").c_str(), "trusted.kept", "2", 1, 0), 0);
  }
  void Set(const std::string& path, const std::string& name, const std::string& value) {
    EXPECT_EQ(Code(fs().SetXattr(path, name, value)), 0) << path << " " << name;
  }
  Names AllOf(const std::string& path) {
    auto names = fs().ListXattr(path);
    EXPECT_TRUE(names) << path;
    Names sorted = names.value_or(Names());
    std::sort(sorted.begin(), sorted.end());
    return sorted;
  }
};

TEST_P(Xattrs, SurviveCopyUpAndRemount) {
  Append("f", "x");
  Set("f", "user.new", "n");
  Write("d/x", "");
  for (int round = 0; round < 2; ++round) {
    EXPECT_EQ(Xattr("f", "user.kept"), "1");
    EXPECT_EQ(Xattr("f", "user.new"), "n");
    EXPECT_EQ(Xattr("d", "trusted.kept"), "2");
    EXPECT_EQ(AllOf("d"), Names{"trusted.kept"});
    Remount();
  }
  ASSERT_EQ(Code(fs().RemoveXattr("f", "user.kept")), 0);
  EXPECT_EQ(Code(fs().RemoveXattr("f", "user.kept")), ENODATA);
  Remount();
  EXPECT_EQ(AllOf("f"), Names{"user.new"});
}

TEST_P(Xattrs, LookAlikesOfMarkersAreOrdinary) {
  const Names names = {"trusted.overlay.opaque",     "trusted.overlay.overlay.x",
                       "trusted.overlay.redirect",   "user.fuseoverlayfs.opaque",
                       "user.overlay.overlay.upper", "user.overlay.whiteout"};
  for (const std::string& name : names) {
    EXPECT_EQ(Code(fs().GetXattr("d", name)), ENODATA) << name;
    Set("d", name, "y");
    EXPECT_EQ(Xattr("d", name), "y") << name;
  }
  Write("d/x", "x");
  Remount();
  for (const std::string& name : names) EXPECT_EQ(Xattr("d", name), "y") << name;
  for (const std::string& name : names) {
    EXPECT_EQ(std::ranges::count(AllOf("d"), name), 1) << name;
  }
  EXPECT_EQ(Read("d/x"), "x");
  ASSERT_EQ(Code(fs().RemoveXattr("d", "trusted.overlay.opaque")), 0);
  EXPECT_EQ(Code(fs().GetXattr("d", "trusted.overlay.opaque")), ENODATA);
}

TEST_P(Xattrs, OfSymlinksAreTheirOwn) {
  Set("s", "trusted.x", "link");
  EXPECT_EQ(Xattr("s", "trusted.x"), "link");
  EXPECT_EQ(Xattr("f", "trusted.x"), "");
  EXPECT_EQ(Code(fs().SetXattr("s", "user.x", "y")), EPERM);
  Remount();
  EXPECT_EQ(Xattr("s", "trusted.x"), "link");
}

TEST_P(Xattrs, FlagsAndSizes) {
  EXPECT_EQ(Code(fs().SetXattr("f", "user.kept", "z", XATTR_CREATE)), EEXIST);
  EXPECT_EQ(Code(fs().SetXattr("f", "user.none", "z", XATTR_REPLACE)), ENODATA);
  EXPECT_EQ(Xattr("f", "user.kept"), "1");
  Set("f", "user.long", std::string(1000, 'v'));
  Set("f", "user.empty", "");
  Remount();
  EXPECT_EQ(Xattr("f", "user.long").size(), 1000u);
  EXPECT_EQ(Code(fs().GetXattr("f", "user.empty")), 0);
}

TEST_P(Xattrs, OfAFileInUse) {
  FilePtr file = Open("f", O_RDONLY);
  Set("f", "user.kept", "changed");
  EXPECT_EQ(Read(*file), "lower");
  ASSERT_EQ(Code(fs().Rename("f", "g")), 0);
  EXPECT_EQ(Xattr("g", "user.kept"), "changed");
}

VENEER_CONFORMANCE(Xattrs);

class XattrCalls : public KernelConformance {
 protected:
  void Populate(const std::string& dir) override {
    WriteFile(dir + "/f", "lower");
    MakeDirs(dir + "/d");
    ASSERT_EQ(setxattr((dir + "/d").c_str(), "trusted.kept", "2", 1, 0), 0);
    ASSERT_EQ(setxattr((dir + "/f").c_str(), "user.long", std::string(1000, 'v').data(), 1000, 0),
              0);
  }
};

TEST_P(XattrCalls, TooSmallABufferIsERANGE) {
  char one = 0;
  EXPECT_EQ(getxattr(At("f").c_str(), "user.long", &one, 1), -1);
  EXPECT_EQ(errno, ERANGE);
  EXPECT_EQ(getxattr(At("f").c_str(), "user.long", nullptr, 0), 1000);
  EXPECT_EQ(listxattr(At("f").c_str(), &one, 1), -1);
  EXPECT_EQ(errno, ERANGE);
  EXPECT_EQ(listxattr(At("f").c_str(), nullptr, 0), 10);
}

// What only CAP_SYS_ADMIN may read is not listed to others.
TEST_P(XattrCalls, TrustedNamesAreForRoot) {
  auto listed = [this](const char* name) {
    std::string list(1000, '\0');
    ssize_t n = llistxattr(At(name).c_str(), list.data(), list.size());
    list.resize(n < 0 ? 0 : static_cast<size_t>(n));
    return list;
  };
  const std::string user = std::string("user.long") + '\0';
  EXPECT_EQ(listed("d"), std::string("trusted.kept") + '\0');
  EXPECT_EQ(AsUser(99, [&] { return listed("f") == user && listed("d").empty() ? 0 : 1; }), 0);
}

VENEER_KERNEL_CONFORMANCE(XattrCalls);

}  // namespace
}  // namespace veneer::fs::conformance
