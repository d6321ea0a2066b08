// COPY: what its sources match, and what is left out.
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>

#include "tests/build/copy_fixture.h"

namespace veneer::build::test {
namespace {

using veneer::test::Must;

class CopySources : public CopyTest {};

TEST_F(CopySources, WildcardsAreGos) {
  File("a.txt");
  File("b.txt");
  File("c.md");
  File("d/e.txt");
  File("d/f/g.txt");
  EXPECT_THAT(Paths(Copy({"*.txt"}, "/")), ElementsAre("a.txt", "b.txt"));
  EXPECT_THAT(Paths(Copy({"?.[mt]*"}, "/")), ElementsAre("a.txt", "b.txt", "c.md"));
  EXPECT_THAT(Paths(Copy({"d/*.txt"}, "/")), ElementsAre("e.txt"));
  EXPECT_THAT(Paths(Copy({"*/*/g.*"}, "/")), ElementsAre("g.txt"));
  EXPECT_THAT(Paths(Copy({"[^a-c]"}, "/x/")), ElementsAre("x", "x/e.txt", "x/f", "x/f/g.txt"));
  EXPECT_THAT(Layer(Copy({"[a"}, "/")), ElementsAre("error: syntax error in pattern"));
}

TEST_F(CopySources, WildcardsMayMatchNothing) {
  File("a");
  EXPECT_THAT(Paths(Copy({"none*"}, "/x/")), IsEmpty());
  EXPECT_THAT(Paths(Copy({"a", "none*"}, "/x/")), ElementsAre("x", "x/a"));
}

TEST_F(CopySources, ADirectoryThatAWildcardMatchesGivesItsContent) {
  File("one/a");
  File("two/b");
  EXPECT_THAT(Paths(Copy({"*"}, "/x/")), ElementsAre("x", "x/a", "x/b"));
}

TEST_F(CopySources, WhatIsNotThereIsNotFound) {
  File("a");
  Link("dangling", "nowhere");
  for (const char* source : {"none", "./none", "/none", "../none", "a/../none"})
    EXPECT_THAT(Layer(Copy({source}, "/x")), ElementsAre("error: \"/none\": not found"));
  EXPECT_THAT(Layer(Copy({"a/b"}, "/x")), ElementsAre("error: \"/a/b\": not found"));
  EXPECT_THAT(Layer(Copy({"dangling"}, "/x")), ElementsAre("error: \"/dangling\": not found"));
}

TEST_F(CopySources, SourcesStayInTheContext) {
  File("a", "inside");
  std::ofstream(base_ + "/a") << "outside";
  Link("up", "../a");
  Link("deep/abs", "/a");
  Link("conf", "../../../../etc");
  EXPECT_THAT(Layer(Copy({"../a"}, "/x")), ElementsAre("x f 644 0:0 'inside'"));
  EXPECT_THAT(Layer(Copy({"../../../a"}, "/x")), ElementsAre("x f 644 0:0 'inside'"));
  EXPECT_THAT(Layer(Copy({"up"}, "/x")), ElementsAre("x f 644 0:0 'inside'"));
  EXPECT_THAT(Layer(Copy({"deep/abs"}, "/x")), ElementsAre("x f 644 0:0 'inside'"));
  EXPECT_THAT(Layer(Copy({"conf/passwd"}, "/x")),
              ElementsAre("error: \"/conf/passwd\": not found"));
}

TEST_F(CopySources, ASourceThatIsASymlinkIsFollowed) {
  File("real/f", "one");
  Link("file", "real/f");
  Link("folder", "real");
  EXPECT_THAT(Layer(Copy({"file"}, "/x/")), ElementsAre("x d 755 0:0", "x/file f 644 0:0 'one'"));
  EXPECT_THAT(Paths(Copy({"folder"}, "/x")), ElementsAre("x", "x/f"));
  EXPECT_THAT(Paths(Copy({"folder/f"}, "/x")), ElementsAre("x"));
  EXPECT_THAT(Layer(Copy({"fi*"}, "/x/")), ElementsAre("x d 755 0:0", "x/file f 644 0:0 'one'"));
}

TEST_F(CopySources, SymlinksInADirectoryStay) {
  Link("d/abs", "/etc/passwd");
  Link("d/dangling", "nowhere");
  Link("d/up", "../../..");
  EXPECT_THAT(Layer(Copy({"d"}, "/x")),
              ElementsAre("x d 755 0:0", "x/abs l 0 -> /etc/passwd", "x/dangling l 0 -> nowhere",
                          "x/up l 0 -> ../../.."));
}

TEST_F(CopySources, HardLinksOfOneSourceStayLinks) {
  File("d/b", "one");
  File("d/z/c", "other");
  std::filesystem::create_hard_link(context_ + "/d/b", context_ + "/d/z/a");
  std::filesystem::create_hard_link(context_ + "/d/b", context_ + "/outside");
  EXPECT_THAT(Layer(Copy({"d"}, "/x")),
              ElementsAre("x d 755 0:0", "x/b f 644 0:0 'one'", "x/z d 755 0:0", "x/z/a = x/b",
                          "x/z/c f 644 0:0 'other'"));
  EXPECT_THAT(Layer(Copy({"d/b", "outside"}, "/x/")),
              ElementsAre("x d 755 0:0", "x/b f 644 0:0 'one'", "x/outside f 644 0:0 'one'"));
}

TEST_F(CopySources, SocketsBecomeEmptyFilesAndPipesStay) {
  Folder("d");
  ASSERT_EQ(mkfifo((context_ + "/d/pipe").c_str(), 0600), 0);
  const UniqueFd socket_fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  const std::string at = context_ + "/d/sock";
  ASSERT_LT(at.size(), sizeof address.sun_path);
  std::ranges::copy(at, address.sun_path);
  ASSERT_EQ(bind(socket_fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(chmod(at.c_str(), 0640), 0);
  EXPECT_THAT(Layer(Copy({"d"}, "/x")),
              ElementsAre("x d 755 0:0", "x/pipe p 600 0:0", "x/sock f 640 0:0 ''"));
}

TEST_F(CopySources, ManyAndLargeFilesArriveWhole) {
  std::string large(3 << 20, '\0');
  for (size_t i = 0; i < large.size(); ++i) large[i] = static_cast<char>(i * 7 + (i >> 12));
  File("d/large", large);
  for (int i = 0; i < 600; ++i) File("d/" + std::to_string(i), "content " + std::to_string(i));
  const DiffId made = Must(Make(Copy({"d"}, "/x")));
  const auto lines = Listing(made);
  EXPECT_EQ(lines.size(), 602u);
  EXPECT_THAT(lines, ::testing::Contains("x/417 f 644 0:0 'content 417'"));
  EXPECT_TRUE(store().objects().Has(ObjectOf(large)));
}

TEST_F(CopySources, NamesThatMeanSomethingToLayersAreRefused) {
  File("d/.wh.x");
  EXPECT_THAT(Layer(Copy({"d"}, "/y")),
              ElementsAre("error: '/y/.wh.x' cannot be in a layer: names that begin with .wh. "
                          "stand for deleted files"));
}

// What is left out.

TEST_F(CopySources, IgnoredFilesAreNotThere) {
  File("keep");
  File("secret");
  File("logs/a");
  Ignore({"secret", "logs"});
  EXPECT_THAT(Paths(Copy({"."}, "/x/")), ElementsAre("x", "x/keep"));
  EXPECT_THAT(Paths(Copy({"*"}, "/x/")), ElementsAre("x", "x/keep"));
  EXPECT_THAT(Layer(Copy({"secret"}, "/x")), ElementsAre("error: \"/secret\": not found"));
  EXPECT_THAT(Layer(Copy({"logs/a"}, "/x")), ElementsAre("error: \"/logs/a\": not found"));
}

TEST_F(CopySources, IgnoredDirectoriesAreThereForTheirExceptions) {
  File("logs/keep/a");
  File("logs/b");
  File("other/c");
  Ignore({"logs", "other", "!logs/keep/*", "!other/missing"});
  EXPECT_THAT(Paths(Copy({"."}, "/x/")),
              ElementsAre("x", "x/logs", "x/logs/keep", "x/logs/keep/a"));
  EXPECT_THAT(Paths(Copy({"logs"}, "/x/")), ElementsAre("x", "x/keep", "x/keep/a"));
  EXPECT_THAT(Layer(Copy({"other"}, "/x/")), ElementsAre("error: \"/other\": not found"));
  EXPECT_THAT(Layer(Copy({"logs/b"}, "/x/")), ElementsAre("error: \"/logs/b\": not found"));
}

TEST_F(CopySources, ASymlinkLeadsNowhereWhenItsTargetIsIgnored) {
  File("secret");
  Link("way", "secret");
  Ignore({"secret"});
  EXPECT_THAT(Layer(Copy({"way"}, "/x")), ElementsAre("error: \"/way\": not found"));
}

TEST_F(CopySources, ExcludesAreRelativeToTheSource) {
  File("d/a.txt");
  File("d/b.md");
  File("d/in/a.txt");
  File("d/in/c.md");
  CopySpec spec = Copy({"d"}, "/x");
  spec.exclude = {"*.txt"};
  EXPECT_THAT(Paths(spec), ElementsAre("x", "x/b.md", "x/in", "x/in/a.txt", "x/in/c.md"));
  spec.exclude = {"**/*.txt"};
  EXPECT_THAT(Paths(spec), ElementsAre("x", "x/b.md", "x/in", "x/in/c.md"));
  spec.exclude = {"in", "b.md"};
  EXPECT_THAT(Paths(spec), ElementsAre("x", "x/a.txt"));
  spec.exclude = {"*", "!in/c.md"};
  EXPECT_THAT(Paths(spec), ElementsAre("x", "x/in", "x/in/c.md"));
}

TEST_F(CopySources, ExcludesAreAlsoAboutFilesThatAreNamed) {
  File("home.txt");
  File("home.md");
  File("homes/a");
  CopySpec spec = Copy({"hom*"}, "/x/");
  spec.exclude = {"*.txt"};
  EXPECT_THAT(Paths(spec), ElementsAre("x", "x/a", "x/home.md"));
  spec = Copy({"home.txt", "home.md"}, "/x/");
  spec.exclude = {"*.txt"};
  EXPECT_THAT(Paths(spec), ElementsAre("x", "x/home.md"));
}

TEST_F(CopySources, ParentsKeepsThePath) {
  File("a/b/c.txt", "", 0600);
  File("a/b/d.md");
  Folder("a/b", 0700);
  CopySpec spec = Copy({"a/b/c.txt"}, "/x");
  spec.parents = true;
  EXPECT_THAT(Layer(spec), ElementsAre("x d 755 0:0", "x/a d 755 0:0", "x/a/b d 700 0:0",
                                       "x/a/b/c.txt f 600 0:0 ''"));
}

TEST_F(CopySources, ParentsKeepsWhatIsBehindThePivot) {
  File("a/b/c/d");
  File("a/b/e");
  CopySpec spec = Copy({"./a/./b/c"}, "/x/");
  spec.parents = true;
  EXPECT_THAT(Paths(spec), ElementsAre("x", "x/b", "x/b/c", "x/b/c/d"));
  spec.sources = {"a/b/./"};
  EXPECT_THAT(Paths(spec), ElementsAre("x", "x/c", "x/c/d", "x/e"));
}

TEST_F(CopySources, ParentsTakesWildcardsAndDoubleStars) {
  File("one/src/a.go");
  File("one/b.go");
  File("two/src/c.go");
  File("two/src/d.md");
  Folder("three/src");
  CopySpec spec = Copy({"*/src/*.go"}, "/x");
  spec.parents = true;
  EXPECT_THAT(Paths(spec), ElementsAre("x", "x/one", "x/one/src", "x/one/src/a.go", "x/two",
                                       "x/two/src", "x/two/src/c.go"));
  spec.sources = {"**/*.md"};
  EXPECT_THAT(Paths(spec), ElementsAre("x", "x/two", "x/two/src", "x/two/src/d.md"));
  spec.sources = {"none*"};
  EXPECT_THAT(Paths(spec), ElementsAre("x"));
}

TEST_F(CopySources, ParentsNeedsWhatHasNoWildcards) {
  File("a/b");
  CopySpec spec = Copy({"a/none"}, "/x");
  spec.parents = true;
  EXPECT_THAT(Layer(spec), ElementsAre("error: \"/a/none\": not found"));
  spec.sources = {"a/./none"};
  EXPECT_THAT(Layer(spec), ElementsAre("error: \"/a/none\": not found"));
}

TEST_F(CopySources, DirectoriesThatParentsFindsOnlyGetTheMode) {
  File("a/b");
  Folder("a", 0700);
  CopySpec spec = Copy({"a/b"}, "/");
  spec.parents = true;
  const Chain chain = MakeChain({{{"a/", "", 0777, 5, 6}}});
  EXPECT_THAT(Layer(spec, chain), ElementsAre("a d 700 5:6", "a/b f 644 0:0 ''"));
}

}  // namespace
}  // namespace veneer::build::test
