// Committing uppers made by hand in the form of docs/upper-format.md: what is reported as changed,
// what the layer holds, and that the committed image's tree is what the mount showed.
#include "store/commit.h"

#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include <map>

#include "store/base/beneath.h"
#include "store/container_store.h"
#include "store/markers.h"
#include "store/tree/dump.h"
#include "store/upper_walk.h"
#include "tests/store/store_fixture.h"

namespace veneer::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

class Commit : public StoreTest {
 protected:
  void SetUp() override {
    StoreTest::SetUp();
    image_ = Must(AddImage(store(), {MakeTar({Folder("./"),
                                              Folder("d/"),
                                              {"d/a", "content of a"},
                                              {"d/b", "b"},
                                              Folder("d/sub/"),
                                              {"d/sub/deep", "deep"},
                                              Folder("e/"),
                                              {"e/old", "old"},
                                              {"f", "file f"}})}));
    container_ = Must(CreateContainer(store(), image_, "base", "box"));
    upper_ = UpperPath(store(), container_);
  }

  void Write(const std::string& path, const std::string& content) {
    std::ofstream(upper_ + "/" + path, std::ios::binary) << content;
  }
  void Mkdir(const std::string& path, const std::string& like = "") {
    ASSERT_EQ(mkdir((upper_ + "/" + path).c_str(), 0755), 0) << path;
    if (like.empty()) return;
    // As copy-up makes it: the lower directory's attributes.
    timespec times[2] = {{0, UTIME_OMIT}, {1700000000, 0}};
    ASSERT_EQ(utimensat(AT_FDCWD, (upper_ + "/" + path).c_str(), times, 0), 0);
  }
  // As a mount makes it: a link of one inode.
  void Whiteout(const std::string& path) {
    std::string shared = upper_ + "/../whiteout";
    if (mknod(shared.c_str(), S_IFCHR, makedev(0, 0)) != 0) {
      ASSERT_EQ(errno, EEXIST);
    }
    ASSERT_EQ(link(shared.c_str(), (upper_ + "/" + path).c_str()), 0) << path;
  }
  void Mark(const std::string& path, std::string_view marker, const std::string& value) {
    std::string name = std::string(markers::kTrustedPrefix) + std::string(marker);
    ASSERT_EQ(lsetxattr((upper_ + "/" + path).c_str(), name.c_str(), value.data(), value.size(), 0),
              0);
  }
  void KeepTimes(const std::string& path) {
    timespec times[2] = {{0, UTIME_OMIT}, {1700000000, 0}};
    ASSERT_EQ(utimensat(AT_FDCWD, (upper_ + "/" + path).c_str(), times, 0), 0);
  }

  std::vector<std::string> Changes() {
    auto layers = Must(store().catalog().ImageLayers(image_));
    auto chain = Must(store().chains().Open(layers));
    UniqueFd fd = Must(OpenAt(AT_FDCWD, upper_, O_RDONLY | O_DIRECTORY));
    std::vector<std::string> lines;
    EXPECT_OK(WalkUpper(fd.get(), *chain, [&](const UpperChange& change) -> Result<> {
      std::string line = std::string(1, static_cast<char>(change.kind)) + " /" + change.path;
      if (change.opaque) line += " opaque";
      if (change.covered) line += " covered";
      if (!change.hard_link.empty()) line += " = /" + change.hard_link;
      lines.push_back(line);
      return {};
    }));
    return lines;
  }

  ImageId Run() {
    CommitOptions options;
    options.created = "2024-01-01T00:00:00Z";
    return Must(CommitContainer(store(), container_, options));
  }
  DiffId TopLayer(const ImageId& image) {
    return Must(store().catalog().ImageLayers(image)).back();
  }

  // Paths of the merged tree of `image`, and what files hold.
  std::map<std::string, std::string> Tree(const ImageId& image) {
    auto chain = Must(store().chains().Open(Must(store().catalog().ImageLayers(image))));
    std::map<std::string, std::string> found;
    Fill(*chain, tree::kRootIno, "", found);
    return found;
  }
  void Fill(const tree::MergedTree& chain, tree::Ino dir, const std::string& path,
            std::map<std::string, std::string>& found) {
    std::vector<std::pair<std::string, tree::Ino>> entries;
    EXPECT_OK(chain.ForEach(dir, "", [&](const tree::DirEntry& e) {
      entries.emplace_back(e.name, e.ino);
      return true;
    }));
    for (const auto& [name, ino] : entries) {
      tree::Inode inode = Must(chain.Get(ino));
      std::string child = path.empty() ? name : path + "/" + name;
      if (S_ISDIR(inode.attr.mode)) {
        found[child] = "/";
        Fill(chain, ino, child, found);
      } else if (S_ISREG(inode.attr.mode) && inode.attr.size > 0) {
        found[child] =
            Must(ReadFileAt(store().root_fd(), ObjectStore::PathOf(inode.object), 1 << 20));
      } else {
        found[child] = "";
      }
    }
  }

  ImageId image_;
  ContainerRow container_;
  std::string upper_;
};

TEST_F(Commit, UnchangedUpperGivesTheEmptyLayer) {
  EXPECT_THAT(Changes(), IsEmpty());
  ImageId committed = Run();
  EXPECT_EQ(TopLayer(committed).ToString(),
            "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef");
  EXPECT_EQ(Tree(committed), Tree(image_));
}

TEST_F(Commit, DirectoriesThatOnlyLeadToAChangeAreReportedWithIt) {
  Mkdir("d", "lower");
  Mkdir("d/sub", "lower");
  KeepTimes("d");
  KeepTimes(".");
  EXPECT_THAT(Changes(), IsEmpty());
  Write("d/sub/new", "new");
  KeepTimes("d/sub");
  EXPECT_THAT(Changes(), ElementsAre("C /", "C /d", "C /d/sub", "A /d/sub/new"));
}

TEST_F(Commit, AddedChangedAndDeletedNames) {
  Mkdir("d");
  Write("d/a", "changed");
  Whiteout("d/b");
  Whiteout("nothing-there");
  Write("g", "new");
  EXPECT_THAT(Changes(), ElementsAre("C /", "C /d", "C /d/a", "D /d/b", "A /g"));
  auto tree = Tree(Run());
  EXPECT_EQ(tree["d/a"], "changed");
  EXPECT_EQ(tree["g"], "new");
  EXPECT_FALSE(tree.contains("d/b"));
  EXPECT_EQ(tree["d/sub/deep"], "deep");
}

TEST_F(Commit, OpaqueDirectoryHidesTheOldOnesNames) {
  Mkdir("d");
  Mark("d", markers::kOpaque, "y");
  Write("d/a", "another a");
  EXPECT_THAT(Changes(),
              ElementsAre("C /", "C /d opaque", "C /d/a", "D /d/b covered", "D /d/sub covered"));
  auto tree = Tree(Run());
  EXPECT_EQ(tree["d/a"], "another a");
  EXPECT_FALSE(tree.contains("d/b"));
  EXPECT_FALSE(tree.contains("d/sub"));
}

TEST_F(Commit, RenamedDirectoryCarriesItsContentAsTheSameObjects) {
  auto objects = FilesIn("objects");
  Whiteout("d");
  Mkdir("moved", "lower");
  Mark("moved", markers::kRedirect, "/d");
  EXPECT_THAT(Changes(), ElementsAre("C /", "D /d", "A /moved", "A /moved/a", "A /moved/b",
                                     "A /moved/sub", "A /moved/sub/deep"));
  ImageId committed = Run();
  auto tree = Tree(committed);
  EXPECT_EQ(tree["moved/a"], "content of a");
  EXPECT_EQ(tree["moved/sub/deep"], "deep");
  EXPECT_FALSE(tree.contains("d"));
  EXPECT_EQ(FilesIn("objects"), objects) << "content that moved was stored again";
}

TEST_F(Commit, DirectoryRenamedOverAnotherHidesIt) {
  Whiteout("d");
  Mkdir("e", "lower");
  Mark("e", markers::kRedirect, "/d");
  Whiteout("e/b");
  auto tree = Tree(Run());
  EXPECT_EQ(tree["e/a"], "content of a");
  EXPECT_FALSE(tree.contains("e/b"));
  EXPECT_FALSE(tree.contains("e/old"));
  EXPECT_FALSE(tree.contains("d"));
}

// mv d/sub away; rm -r d; mkdir d; mv sub back: the directory is where it was, below one that hides
// it.
TEST_F(Commit, DirectoryMovedBackUnderARemadeParentStays) {
  Mkdir("d");
  Mark("d", markers::kOpaque, "y");
  Mkdir("d/sub");
  Mark("d/sub", markers::kRedirect, "/d/sub");
  KeepTimes("d/sub");
  auto tree = Tree(Run());
  EXPECT_EQ(tree["d/sub/deep"], "deep");
  EXPECT_FALSE(tree.contains("d/a"));
}

TEST_F(Commit, RenamedDirectoryTakesTheOtherNamesOfItsFilesAlong) {
  ImageId linked = Must(
      AddImage(store(), {MakeTar({Folder("in/"),
                                  {"in/x", "linked"},
                                  Folder("out/"),
                                  {.path = "out/y", .content = "", .hard_link = "in/x"},
                                  {.path = "out/gone", .content = "", .hard_link = "in/x"}})}));
  container_ = Must(CreateContainer(store(), linked, "linked", "links"));
  image_ = linked;
  upper_ = UpperPath(store(), container_);
  Whiteout("in");
  Mkdir("moved");
  Mark("moved", markers::kRedirect, "/in");
  Mkdir("out");
  Whiteout("out/gone");
  ImageId committed = Run();
  auto chain = Must(store().chains().Open(Must(store().catalog().ImageLayers(committed))));
  auto x = Must(chain->LookupPath("moved/x")), y = Must(chain->LookupPath("out/y"));
  ASSERT_TRUE(x && y);
  EXPECT_EQ(*x, *y);
  EXPECT_EQ(Must(chain->Get(*x)).nlink, 2u);
  EXPECT_FALSE(Must(chain->LookupPath("out/gone")));
}

TEST_F(Commit, UnknownMetacopyIsRefusedNotRead) {
  Write("f", "zeros");
  Mark("f", markers::kMetacopy, "other");
  EXPECT_EQ(CommitContainer(store(), container_, CommitOptions()).error().code(), EBADMSG);
}

TEST_F(Commit, MarkersOfAnImagesRootAreNoMarkersOfTheUpper) {
  ASSERT_EQ(setxattr(upper_.c_str(), "user.overlay.veneer.upper", "x", 1, 0), 0);
  ASSERT_EQ(setxattr(upper_.c_str(), "trusted.overlay.veneer.upper", "1 chain none", 12, 0), 0);
  Write("f", "zeros!");
  Mark("f", markers::kMetacopy, markers::FormatMetacopy({ObjectOf("file f"), 6, 9}));
  EXPECT_EQ(Tree(Run())["f"], "file f") << "the upper's own prefix counts";
}

TEST_F(Commit, LockedUpperIsNotRemoved) {
  auto lock = UpperLock::Take(store(), container_);
  ASSERT_OK(lock);
  EXPECT_EQ(RemoveContainer(store(), container_).error().code(), EBUSY);
  EXPECT_OK(FindContainer(store(), "box"));
  EXPECT_TRUE(std::filesystem::exists(upper_));
}

TEST_F(Commit, NobodyElseReachesAnUpper) {
  for (const std::string& folder :
       {PathOf("containers"), PathOf("containers/" + container_.id), PathOf("objects")}) {
    struct stat st;
    ASSERT_EQ(stat(folder.c_str(), &st), 0);
    EXPECT_EQ(st.st_mode & 077, 0u) << folder;
  }
}

TEST_F(Commit, MetadataOnlyChangeStoresNoContent) {
  auto objects = FilesIn("objects");
  Write("f", "");
  ASSERT_EQ(truncate((upper_ + "/f").c_str(), 6), 0);
  ASSERT_EQ(chmod((upper_ + "/f").c_str(), 0600), 0);
  Mark("f", markers::kMetacopy, markers::FormatMetacopy({ObjectOf("file f"), 6, 9}));
  ImageId committed = Run();
  EXPECT_EQ(Tree(committed)["f"], "file f");
  EXPECT_EQ(FilesIn("objects"), objects);
  std::string tar = Must(TarOf(store(), TopLayer(committed)));
  EXPECT_THAT(tar, HasSubstr("file f")) << "the layer's tar holds the content all the same";
}

TEST_F(Commit, HardLinksStayLinks) {
  Write("one", "linked");
  ASSERT_EQ(link((upper_ + "/one").c_str(), (upper_ + "/two").c_str()), 0);
  EXPECT_THAT(Changes(), ElementsAre("C /", "A /one", "A /two = /one"));
  ImageId committed = Run();
  auto chain = Must(store().chains().Open(Must(store().catalog().ImageLayers(committed))));
  auto one = Must(chain->LookupPath("one")), two = Must(chain->LookupPath("two"));
  ASSERT_TRUE(one && two);
  EXPECT_EQ(*one, *two);
  EXPECT_EQ(Must(chain->Get(*one)).nlink, 2u);
}

TEST_F(Commit, SameUpperGivesTheSameLayerTwice) {
  Write("x", std::string(3 << 20, 'x'));
  ASSERT_EQ(setxattr((upper_ + "/x").c_str(), "user.note", "v", 1, 0), 0);
  ImageId first = Run(), second = Run();
  EXPECT_EQ(TopLayer(first), TopLayer(second));
  EXPECT_EQ(first, second);
}

TEST_F(Commit, MarkersStayInTheUpperAndUsersAttributesDoNot) {
  Write("x", "x");
  Mark("x", markers::kIno, "77");
  Mark("x", "overlay.mine", "escaped");
  std::string tar = Must(TarOf(store(), TopLayer(Run())));
  EXPECT_THAT(tar, Not(HasSubstr("veneer.ino")));
  EXPECT_THAT(tar, HasSubstr("SCHILY.xattr.trusted.overlay.mine=escaped"));
}

TEST_F(Commit, CommittedLayerIsRebuiltBitForBit) {
  Mkdir("d");
  Write("d/a", "changed");
  Whiteout("d/b");
  Write("large", std::string(5 << 20, 'y'));
  DiffId top = TopLayer(Run());
  std::string tar = Must(TarOf(store(), top));
  EXPECT_EQ(Digest::Of(tar), top.digest);
  // The same tar, loaded into another store, is the same layer with the same tree.
  auto other = Must(Store::Open(base_ + "/other"));
  EXPECT_EQ(Must(AddLayer(*other, tar)), top);
  auto dump = [&](Store& s) {
    std::string text;
    auto tree = Must(s.layers().OpenTree(top));
    EXPECT_OK(tree::Dump(*tree, [&](std::string_view line) { text += std::string(line) + "\n"; }));
    return text;
  };
  EXPECT_EQ(dump(store()), dump(*other));
}

TEST_F(Commit, RefusedFreezeLeavesNothing) {
  Write("x", "never published");
  auto objects = FilesIn("objects");
  CommitOptions options;
  options.created = "2024-01-01T00:00:00Z";
  options.fixed = []() -> Result<> { return Invalid("changed meanwhile", EBUSY); };
  EXPECT_FALSE(CommitContainer(store(), container_, options));
  EXPECT_EQ(FilesIn("objects"), objects);
  EXPECT_THAT(FilesIn("ingest"), IsEmpty());
}

TEST_F(Commit, HistoryAndConfigGrowByOneEntry) {
  Write("x", "x");
  CommitOptions options;
  options.created = "2024-01-01T00:00:00Z";
  options.message = "why";
  options.author = "Ann";
  options.config = {{"Cmd", {"/x"}}};
  ImageId id = Must(CommitContainer(store(), container_, options));
  auto row = Must(store().catalog().FindImage(id));
  auto json = nlohmann::json::parse(row->config);
  EXPECT_EQ(json["history"].back()["comment"], "why");
  EXPECT_EQ(json["history"].back()["created_by"], "/bin/sh");
  EXPECT_EQ(json["author"], "Ann");
  EXPECT_EQ(json["config"]["Cmd"][0], "/x");
  EXPECT_EQ(json["rootfs"]["diff_ids"].size(), 2u);
}

TEST_F(Commit, ContainerNamesAreUniqueAndChecked) {
  EXPECT_EQ(CreateContainer(store(), image_, "base", "box").error().code(), EEXIST);
  EXPECT_FALSE(CreateContainer(store(), image_, "base", "-x"));
  EXPECT_FALSE(CreateContainer(store(), image_, "base", "a b"));
  EXPECT_EQ(Must(FindContainer(store(), container_.id.substr(0, 12))).name, "box");
  EXPECT_EQ(FindContainer(store(), "nobody").error().code(), ENOENT);
  EXPECT_OK(RemoveContainer(store(), container_));
  EXPECT_EQ(FindContainer(store(), "box").error().code(), ENOENT);
}

}  // namespace
}  // namespace veneer::test
