// COPY: what lands where, as whom and how.
#include "tools/build/copy/copy_step.h"

#include "tests/build/copy_fixture.h"

namespace veneer::build::test {
namespace {

using veneer::test::Must;

class Copying : public CopyTest {};

TEST_F(Copying, AFileGetsTheNameOfTheDestination) {
  File("a", "one");
  EXPECT_THAT(Layer(Copy({"a"}, "/x")), ElementsAre("x f 644 0:0 'one'"));
}

TEST_F(Copying, ASlashMakesTheDestinationADirectory) {
  File("sub/a", "one");
  const auto want = ElementsAre("d d 755 0:0", "d/a f 644 0:0 'one'");
  EXPECT_THAT(Layer(Copy({"sub/a"}, "/d/")), want);
  EXPECT_THAT(Layer(Copy({"sub/a"}, "/d/.")), want);
  EXPECT_THAT(Layer(Copy({"/sub/a"}, "//d//")), want);
}

TEST_F(Copying, AFileGoesIntoADirectoryOfTheChain) {
  File("a", "one");
  const Chain chain = MakeChain({{{"srv/", "", 0700, 5, 6}}});
  EXPECT_THAT(Layer(Copy({"a"}, "/srv"), chain),
              ElementsAre("srv d 700 5:6", "srv/a f 644 0:0 'one'"));
  EXPECT_THAT(Layer(Copy({"a"}, "/"), chain), ElementsAre("a f 644 0:0 'one'"));
}

TEST_F(Copying, ADirectoryGivesItsContent) {
  File("d/a", "one", 0600);
  File("d/in/b", "two", 0755);
  Folder("d/in", 0750);
  Folder("d/none");
  EXPECT_THAT(Layer(Copy({"d"}, "/x/y")),
              ElementsAre("x d 755 0:0", "x/y d 755 0:0", "x/y/a f 600 0:0 'one'",
                          "x/y/in d 750 0:0", "x/y/in/b f 755 0:0 'two'", "x/y/none d 755 0:0"));
  EXPECT_THAT(Paths(Copy({"."}, "/")), ElementsAre("d", "d/a", "d/in", "d/in/b", "d/none"));
}

TEST_F(Copying, TheDestinationItselfTakesOnlyTheTimeOfADirectory) {
  File("d/a", "one");
  Folder("d", 0700);
  SetTime("d", 4000);
  const DiffId made = Must(Make(Copy({"d"}, "/new")));
  EXPECT_THAT(Listing(made), ElementsAre("new d 755 0:0", "new/a f 644 0:0 'one'"));
  EXPECT_EQ(AttributesIn(made, "new").mtime_sec, 4000);
  const Chain chain = MakeChain({{{"old/", "", 01777, 5, 6}}});
  const DiffId changed = Must(Make(Copy({"d"}, "/old"), chain));
  EXPECT_THAT(Listing(changed), ElementsAre("old d 1777 5:6", "old/a f 644 0:0 'one'"));
  EXPECT_EQ(AttributesIn(changed, "old").mtime_sec, 4000);
}

TEST_F(Copying, DirectoriesFurtherDownTakeTheSourcesAttributes) {
  File("d/in/a", "one");
  Folder("d/in", 0711);
  const Chain chain = MakeChain({{{"x/", "", 0700}, {"x/in/", "", 0777, 5, 6}, {"x/in/b", "old"}}});
  EXPECT_THAT(Layer(Copy({"d"}, "/x"), chain),
              ElementsAre("x d 700 0:0", "x/in d 711 0:0", "x/in/a f 644 0:0 'one'"));
}

TEST_F(Copying, DirectoriesOfTheChainOnTheWayStayAsTheyAre) {
  File("a", "one");
  const Chain chain =
      MakeChain({{{"tmp/", "", 01777, 1, 2, {}, {}, 0, 777, {{"user.k", "v"}}}, {"tmp/s/"}}});
  const DiffId made = Must(Make(Copy({"a"}, "/tmp/s/a"), chain, 500));
  EXPECT_THAT(Listing(made),
              ElementsAre("tmp d 1777 1:2", "tmp/s d 755 0:0", "tmp/s/a f 644 0:0 'one'"));
  EXPECT_EQ(AttributesIn(made, "tmp").mtime_sec, 777);
  ASSERT_EQ(XattrsIn(made, "tmp").size(), 1u);
  EXPECT_EQ(XattrsIn(made, "tmp")[0].value, "v");
}

TEST_F(Copying, NothingIsSaidOfTheDestinationWhenNothingIsCopied) {
  Folder("empty");
  SetTime("empty", 1000);
  const Chain chain = MakeChain({{{"x/"}}});
  EXPECT_THAT(Layer(Copy({"empty"}, "/x"), chain), IsEmpty());
}

TEST_F(Copying, ChownIsOfAllThatIsMade) {
  File("d/a", "one");
  Link("d/l", "a");
  CopySpec spec = Copy({"d"}, "/x/y");
  spec.chown = "7:8";
  EXPECT_THAT(Layer(spec), ElementsAre("x d 755 7:8", "x/y d 755 7:8", "x/y/a f 644 7:8 'one'",
                                       "x/y/l l 7 -> a"));
}

TEST_F(Copying, ChownLooksNamesUpInTheChain) {
  File("a");
  const Chain chain = MakeChain({{{"etc/"},
                                  {"etc/passwd", "root:x:0:0::/root:\napp:x:100:101::/:\n"},
                                  {"etc/group", "staff:x:50:app\n"}}});
  const auto with = [&](const char* chown) {
    CopySpec spec = Copy({"a"}, "/a");
    spec.chown = chown;
    return Layer(spec, chain).at(0);
  };
  EXPECT_EQ(with("app"), "a f 644 100:101 ''");
  EXPECT_EQ(with("app:staff"), "a f 644 100:50 ''");
  EXPECT_EQ(with(":staff"), "a f 644 0:50 ''");
  EXPECT_EQ(with("5:staff"), "a f 644 5:50 ''");
  EXPECT_EQ(with("5"), "a f 644 5:5 ''");
  EXPECT_EQ(with("5:"), "a f 644 5:0 ''");
  EXPECT_EQ(with("root"), "a f 644 0:0 ''");
  // As docker build has it: a name that is not there is root.
  EXPECT_EQ(with("nobody"), "a f 644 0:0 ''");
}

TEST_F(Copying, ChownReadsPasswdThroughSymlinksInsideTheImage) {
  File("a");
  const Chain chain = MakeChain({{{"etc/"},
                                  {.path = "etc/passwd", .symlink = "../../../usr/pw"},
                                  {"usr/"},
                                  {"usr/pw", "app:x:100:101::/:\n"}}});
  CopySpec spec = Copy({"a"}, "/a");
  spec.chown = "app";
  EXPECT_THAT(Layer(spec, chain), ElementsAre("a f 644 100:101 ''"));
}

TEST_F(Copying, ChownByNameNeedsAnImage) {
  File("a");
  CopySpec spec = Copy({"a"}, "/a");
  spec.chown = "app";
  EXPECT_THAT(Layer(spec), ElementsAre("error: invalid user index: -1"));
  EXPECT_THAT(Layer(spec, tree::MergedTree::Empty()), ElementsAre("error: invalid user index: -1"));
  spec.link = true;
  const Chain chain = MakeChain({{{"etc/passwd", "app:x:100:101::/:\n"}}});
  EXPECT_THAT(Layer(spec, chain), ElementsAre("error: invalid user index: -1"));
}

TEST_F(Copying, ChmodIsOfFilesAndDirectoriesButNotOfSymlinks) {
  File("d/in/a", "", 0600);
  Link("d/l", "in");
  CopySpec spec = Copy({"d"}, "/x/y");
  spec.chmod = "2750";
  EXPECT_THAT(Layer(spec), ElementsAre("x d 750 0:0", "x/y d 750 0:0", "x/y/in d 2750 0:0",
                                       "x/y/in/a f 2750 0:0 ''", "x/y/l l 0 -> in"));
  const DiffId made = Must(Make(spec));
  EXPECT_EQ(AttributesIn(made, "x/y/l").mode & 07777, 0777u);
}

TEST_F(Copying, SymbolicChmodLeavesDirectoriesOnTheWay) {
  File("d/a", "", 0600);
  File("d/run", "", 0700);
  Folder("d/in", 0700);
  CopySpec spec = Copy({"d"}, "/x/y");
  spec.chmod = "go=rX";
  EXPECT_THAT(Layer(spec), ElementsAre("x d 755 0:0", "x/y d 755 0:0", "x/y/a f 644 0:0 ''",
                                       "x/y/in d 755 0:0", "x/y/run f 755 0:0 ''"));
}

TEST_F(Copying, SetIdBitsAndCapabilitiesSurviveChown) {
  ASSERT_EQ(getuid(), 0U) << "needs root";
  File("a", "x", 04755);
  const std::string at = context_ + "/a";
  const unsigned char capability[] = {1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
  ASSERT_EQ(setxattr(at.c_str(), "security.capability", capability, sizeof capability, 0), 0);
  ASSERT_EQ(setxattr(at.c_str(), "user.note", "n", 1, 0), 0);
  ASSERT_EQ(setxattr(at.c_str(), "trusted.secret", "s", 1, 0), 0);
  CopySpec spec = Copy({"a"}, "/a");
  spec.chown = "9";
  const DiffId made = Must(Make(spec));
  EXPECT_THAT(Listing(made), ElementsAre("a f 4755 9:9 'x'"));
  const auto xattrs = XattrsIn(made, "a");
  ASSERT_EQ(xattrs.size(), 2u);
  EXPECT_EQ(xattrs[0].name, "security.capability");
  EXPECT_EQ(xattrs[0].value.size(), sizeof capability);
  EXPECT_EQ(xattrs[1].name, "user.note");
}

TEST_F(Copying, OwnersOfTheContextAreNotTheImages) {
  ASSERT_EQ(getuid(), 0U) << "needs root";
  File("a");
  ASSERT_EQ(chown((context_ + "/a").c_str(), 1234, 1234), 0);
  EXPECT_THAT(Layer(Copy({"a"}, "/a")), ElementsAre("a f 644 0:0 ''"));
}

// Destinations.

TEST_F(Copying, SymlinksOfTheDestinationAreFollowedInsideTheImage) {
  File("a", "one");
  const Chain chain = MakeChain({{{"usr/"},
                                  {"usr/bin/"},
                                  {.path = "bin", .symlink = "usr/bin"},
                                  {.path = "up", .symlink = "../../../usr"},
                                  {.path = "abs", .symlink = "/usr/bin/"}}});
  const auto want = ElementsAre("usr d 755 0:0", "usr/bin d 755 0:0", "usr/bin/a f 644 0:0 'one'");
  EXPECT_THAT(Layer(Copy({"a"}, "/bin/a"), chain), want);
  EXPECT_THAT(Layer(Copy({"a"}, "/bin"), chain), want);
  EXPECT_THAT(Layer(Copy({"a"}, "/up/bin/"), chain), want);
  EXPECT_THAT(Layer(Copy({"a"}, "/abs/a"), chain), want);
}

TEST_F(Copying, ADanglingSymlinkIsWhereTheDestinationIsMade) {
  File("a", "one");
  const Chain chain = MakeChain({{{.path = "data", .symlink = "/var/data"}}});
  EXPECT_THAT(Layer(Copy({"a"}, "/data/"), chain),
              ElementsAre("var d 755 0:0", "var/data d 755 0:0", "var/data/a f 644 0:0 'one'"));
}

TEST_F(Copying, ASymlinkThatIsTheDestinationIsWrittenThrough) {
  File("a", "one");
  const Chain chain = MakeChain({{{"real", "old"}, {.path = "l", .symlink = "real"}}});
  EXPECT_THAT(Layer(Copy({"a"}, "/l"), chain), ElementsAre("real f 644 0:0 'one'"));
}

TEST_F(Copying, ASymlinkInTheDestinationIsReplaced) {
  File("a", "one");
  const Chain chain = MakeChain({{{"x/"}, {"real", "old"}, {.path = "x/a", .symlink = "/real"}}});
  EXPECT_THAT(Layer(Copy({"a"}, "/x/"), chain), ElementsAre("x d 755 0:0", "x/a f 644 0:0 'one'"));
}

TEST_F(Copying, SymlinksThatGoInCirclesAreAnError) {
  File("a");
  const Chain chain = MakeChain({{{.path = "l", .symlink = "m"}, {.path = "m", .symlink = "l"}}});
  EXPECT_THAT(Layer(Copy({"a"}, "/l/"), chain), ElementsAre("error: too many links"));
  Link("c", "c");
  EXPECT_THAT(Layer(Copy({"c"}, "/x")), ElementsAre("error: too many links"));
}

TEST_F(Copying, AFileReplacesAFileButNoDirectory) {
  File("a", "one");
  File("d/x", "two");
  const Chain chain = MakeChain({{{"a", "old", 0600, 5, 5}, {"t/"}, {"t/x/"}}});
  EXPECT_THAT(Layer(Copy({"a"}, "/a"), chain), ElementsAre("a f 644 0:0 'one'"));
  EXPECT_THAT(Layer(Copy({"d"}, "/t"), chain),
              ElementsAre("error: cannot replace to directory /t/x with file"));
}

TEST_F(Copying, ADirectoryReplacesNothing) {
  File("d/x/y");
  const Chain chain =
      MakeChain({{{"f", "old"}, {"t/"}, {"t/x", "old"}, {"u/"}, {.path = "u/x", .symlink = "/t"}}});
  EXPECT_THAT(Layer(Copy({"d"}, "/f"), chain),
              ElementsAre("error: cannot copy to non-directory: /f"));
  EXPECT_THAT(Layer(Copy({"d"}, "/t"), chain),
              ElementsAre("error: cannot copy to non-directory: /t/x"));
  EXPECT_THAT(Layer(Copy({"d"}, "/u"), chain),
              ElementsAre("error: cannot copy to non-directory: /u/x"));
}

TEST_F(Copying, NoDirectoryIsMadeBelowAFile) {
  File("a");
  const Chain chain = MakeChain({{{"f", "old"}}});
  EXPECT_THAT(Layer(Copy({"a"}, "/f/x"), chain), ElementsAre("error: mkdir /f: not a directory"));
  EXPECT_THAT(Layer(Copy({"a"}, "/f/"), chain), ElementsAre("error: mkdir /f: not a directory"));
}

TEST_F(Copying, WhatSeveralSourcesBringTheLastOneDecides) {
  File("one/f", "one");
  File("one/only");
  File("two/f", "two");
  EXPECT_THAT(Layer(Copy({"one", "two"}, "/x/")),
              ElementsAre("x d 755 0:0", "x/f f 644 0:0 'two'", "x/only f 644 0:0 ''"));
  EXPECT_THAT(Layer(Copy({"one/f", "two/f"}, "/x")), ElementsAre("x f 644 0:0 'two'"));
}

TEST_F(Copying, LinkDependsOnNoChain) {
  File("a", "one");
  const Chain chain = MakeChain({{{"usr/"}, {.path = "bin", .symlink = "usr"}}});
  CopySpec spec = Copy({"a"}, "/bin/x/a");
  spec.link = true;
  const auto want = ElementsAre("bin d 755 0:0", "bin/x d 755 0:0", "bin/x/a f 644 0:0 'one'");
  EXPECT_THAT(Layer(spec), want);
  EXPECT_THAT(Layer(spec, chain), want);
}

// Other sources.

TEST_F(Copying, FilesOfAChainKeepOwnersAndAttributes) {
  const Chain image = MakeChain({{{"app/", "", 0711, 3, 4},
                                  {"app/bin",
                                   "run",
                                   04755,
                                   5,
                                   6,
                                   {},
                                   {},
                                   0,
                                   900,
                                   {{"security.capability", "cap"}, {"trusted.t", "1"}}},
                                  {.path = "app/link", .uid = 5, .symlink = "bin"},
                                  {.path = "app/null", .mode = 0666, .type = AE_IFCHR},
                                  {.path = "app/pipe", .type = AE_IFIFO},
                                  {.path = "app/same", .hard_link = "app/bin"}}});
  const auto from = OpenChainSource(store(), image);
  const DiffId made = Must(Make(From(*from, {"/app"}, "/x")));
  EXPECT_THAT(Listing(made),
              ElementsAre("x d 755 0:0", "x/bin f 4755 5:6 'run'", "x/link l 5 -> bin",
                          "x/null c 666 0:0", "x/pipe p 644 0:0", "x/same = x/bin"));
  EXPECT_EQ(AttributesIn(made, "x/bin").mtime_sec, 900);
  EXPECT_EQ(XattrsIn(made, "x/bin").size(), 2u);
}

TEST_F(Copying, ContentsOfAChainAreNotReadToFindTheKey) {
  const Chain image = MakeChain({{{"a", "content"}}});
  const auto from = OpenChainSource(store(), image);
  ASSERT_EQ(unlink(PathOf(ObjectOf("content")).c_str()), 0);
  EXPECT_OK(Prepare(From(*from, {"a"}, "/a"), nullptr));
}

TEST_F(Copying, HeredocsAreFiles) {
  CopySpec spec = Copy({}, "/x/");
  spec.heredocs = {{.path = "one", .content = "text\n"}, {.path = "two", .content = ""}};
  const DiffId made = Must(Make(spec, nullptr, 123));
  EXPECT_THAT(Listing(made),
              ElementsAre("x d 755 0:0", "x/one f 644 0:0 'text\n'", "x/two f 644 0:0 ''"));
  EXPECT_EQ(AttributesIn(made, "x/one").mtime_sec, 123);
  spec.destination = "/name";
  spec.heredocs.resize(1);
  spec.chown = "4";
  spec.chmod = "500";
  EXPECT_THAT(Layer(spec), ElementsAre("name f 500 4:4 'text\n'"));
  spec.heredocs[0].path = "a/b";
  EXPECT_THAT(Layer(spec), ElementsAre("error: open /a/b: not the name of a file"));
}

TEST_F(Copying, FetchedFilesAreTheOwners) {
  File("download", "bytes", 0644);
  CopySpec spec = Copy({}, "/x/");
  spec.is_add = true;
  spec.fetched = {{.name = "v1.bin", .path = context_ + "/download", .mtime = 777}};
  const DiffId made = Must(Make(spec));
  EXPECT_THAT(Listing(made), ElementsAre("x d 755 0:0", "x/v1.bin f 600 0:0 'bytes'"));
  EXPECT_EQ(AttributesIn(made, "x/v1.bin").mtime_sec, 777);
  spec.fetched[0].mtime.reset();
  EXPECT_EQ(AttributesIn(Must(Make(spec)), "x/v1.bin").mtime_sec, 0);
}

TEST_F(Copying, CheckedOutRepositoriesGiveTheirContent) {
  File("README");
  File("src/a");
  Folder(".", 0711);
  CopySpec spec = Copy({}, "/x");
  spec.checked_out = {from_.get()};
  EXPECT_THAT(Layer(spec), ElementsAre("x d 711 0:0", "x/README f 644 0:0 ''", "x/src d 755 0:0",
                                       "x/src/a f 644 0:0 ''"));
  spec.destination = "/x/";
  EXPECT_THAT(Layer(spec).at(0), "x d 755 0:0");
}

// Times.

TEST_F(Copying, TimesAreKeptUpToTheLatest) {
  File("d/early");
  File("d/late");
  SetTime("d/late", 9000);
  SetTime("d", 9000);
  const DiffId made = Must(Make(Copy({"d"}, "/x/y"), nullptr, 5000));
  EXPECT_EQ(AttributesIn(made, "x").mtime_sec, 5000);
  EXPECT_EQ(AttributesIn(made, "x/y").mtime_sec, 5000);
  EXPECT_EQ(AttributesIn(made, "x/y/early").mtime_sec, 1000);
  EXPECT_EQ(AttributesIn(made, "x/y/late").mtime_sec, 5000);
  EXPECT_EQ(AttributesIn(Must(Make(Copy({"d"}, "/x/y"))), "x/y/late").mtime_sec, 9000);
}

TEST_F(Copying, TheSameStepGivesTheSameLayer) {
  File("d/a", "one");
  EXPECT_EQ(Must(Make(Copy({"d"}, "/x/y"), nullptr, 5000)),
            Must(Make(Copy({"d"}, "/x/y"), nullptr, 5000)));
}

TEST_F(Copying, FilesThatChangeMeanwhileAreAnError) {
  File("a", "one");
  const auto step = Must(Prepare(Copy({"a"}, "/x"), nullptr));
  std::ofstream(context_ + "/a") << "two";
  const auto written = Write(*step);
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code(), EAGAIN);
  EXPECT_EQ(written.error().Message(), "/a changed while it was read");
  const auto again = Must(Prepare(Copy({"a"}, "/x"), nullptr));
  ASSERT_EQ(unlink((context_ + "/a").c_str()), 0);
  EXPECT_EQ(Write(*again).error().code(), EAGAIN);
}

}  // namespace
}  // namespace veneer::build::test
