// The format as committed files: what was written once must stay readable, and the same input must
// give the same bytes. VENEER_UPDATE_GOLDEN=1 rewrites the files, which a new format version needs
// and nothing else.
#include <fcntl.h>

#include <cstdlib>

#include "store/tree/dump.h"
#include "tests/store/tree/tree_test_util.h"

namespace veneer::tree {
namespace {

class Golden : public TreeTest {
 protected:
  void SetUp() override {
    layers_.push_back(Layer([](LayerTreeBuilder& b) {
      AddDir(b, "", 0755);
      AddDir(b, "etc", 0755);
      for (int i = 0; i < 40; ++i) AddFile(b, "etc/conf." + std::to_string(i));
      AddFile(b, "usr/bin/su", 04755);
      Must(b.AddHardLink("usr/bin/su2", "usr/bin/su"));
      Must(b.AddHardLink("old/su3", "usr/bin/su"));
      AddSymlink(b, "bin", "usr/bin");
    }));
    layer_bytes_ = LayerBytes([](LayerTreeBuilder& b) {
      AddDir(b, "etc", 0711);
      Must(b.AddWhiteout("etc/conf.7"));
      Must(b.AddWhiteout("old"));
      Must(b.AddHardLink("su4", "bin/su"));
      Must(b.SetOpaque("usr/share"));
      Must(b.Add("\xff\x01 \\",
                 {.mode = S_IFREG | 0600,
                  .uid = 4294967294,
                  .gid = 3000000,
                  .size = 5000000000,
                  .mtime_sec = -1,
                  .mtime_nsec = 999999999},
                 Object("golden"), "", {{"user.note", "hi"}, {"security.capability", {1, 0, 2}}}));
      Must(b.Add("dev/null", {.mode = S_IFCHR | 0666, .rdev_major = 1, .rdev_minor = 3}, {}, "",
                 {}));
      Must(b.Add("fifo", {.mode = S_IFIFO | 0600}, {}, "", {}));
    });
    layers_.push_back(OpenLayer(layer_bytes_));
  }

  std::string FileBytes(int dirfd, const std::string& name) {
    return Must(ReadFileAt(dirfd, name, 1 << 20));
  }

  // Compares with the committed file, or replaces it.
  void Compare(const std::string& name, const std::string& bytes) {
    if (std::getenv("VENEER_UPDATE_GOLDEN")) {
      Must(EnsureDir(AT_FDCWD, VENEER_TESTDATA, 0755));
      UniqueFd fd = Must(OpenAt(AT_FDCWD, std::string(VENEER_TESTDATA "/") + name,
                                O_CREAT | O_TRUNC | O_WRONLY, 0644));
      Must(PwriteAll(fd.get(), bytes, 0));
    }
    EXPECT_TRUE(FileBytes(AT_FDCWD, VENEER_TESTDATA "/" + name) == bytes) << name;
  }

  std::string DumpOf(const std::string& path) {
    std::string text;
    Must(DumpFile(path, [&](std::string_view line) { (text += line) += '\n'; }));
    return text;
  }

  // Puts the committed `file` into the scratch directory as `name`; gives its path there.
  std::string Place(const std::string& file, const std::string& name) {
    UniqueFd fd = Must(OpenAt(dir_.fd(), name, O_CREAT | O_TRUNC | O_WRONLY, 0600));
    Must(PwriteAll(fd.get(), FileBytes(AT_FDCWD, VENEER_TESTDATA "/" + file), 0));
    return dir_.path() + "/" + name;
  }

  Layers layers_;
  std::string layer_bytes_;
};

TEST_F(Golden, SameInputGivesTheCommittedBytes) {
  auto base = Next(*MergedTree::Empty(), layers_, 1);
  auto delta = Next(*base, layers_, 2);
  ASSERT_EQ(delta->delta_count(), 1);
  Compare("layer.tree", layer_bytes_);
  Compare("layer.dump", DumpText(*layers_[1]));
  Compare("base.tree", FileBytes(dir_.fd(), Chain(1).Hex()));
  Compare("base.dump", DumpText(*base));
  Compare("delta.tree", FileBytes(dir_.fd(), Chain(2).Hex()));
  Compare("delta.dump", DumpText(*delta));
}

TEST_F(Golden, CommittedFilesReadAsTheirDumps) {
  EXPECT_EQ(DumpOf(VENEER_TESTDATA "/layer.tree"),
            FileBytes(AT_FDCWD, VENEER_TESTDATA "/layer.dump"));
  EXPECT_EQ(DumpOf(Place("base.tree", Chain(1).Hex())),
            FileBytes(AT_FDCWD, VENEER_TESTDATA "/base.dump"));
  EXPECT_EQ(DumpOf(Place("delta.tree", Chain(2).Hex())),
            FileBytes(AT_FDCWD, VENEER_TESTDATA "/delta.dump"));
}

}  // namespace
}  // namespace veneer::tree
