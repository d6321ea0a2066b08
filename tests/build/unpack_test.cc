// ADD of local archives.
#include "tools/build/copy/unpack.h"

#include "tests/build/copy_fixture.h"

namespace veneer::build::test {
namespace {

using veneer::test::Must;

class Unpacking : public CopyTest {
 protected:
  // The layer of ADD, with the archive of these entries.
  std::vector<std::string> Unpacked(const std::vector<Entry>& entries,
                                    const std::string& destination = "/x",
                                    const Chain& chain = nullptr) {
    File("t.tar", Tar(entries));
    return Layer(Add({"t.tar"}, destination), chain);
  }
};

TEST_F(Unpacking, ArchivesAreKnownByTheirContent) {
  const std::vector<Entry> entries = {{"a", "one"}};
  const auto want = ElementsAre("x d 755 0:0", "x/a f 644 0:0 'one'");
  for (const int filter : {ARCHIVE_FILTER_NONE, ARCHIVE_FILTER_GZIP, ARCHIVE_FILTER_BZIP2,
                           ARCHIVE_FILTER_XZ, ARCHIVE_FILTER_ZSTD}) {
    File("some.file", Tar(entries, filter));
    EXPECT_THAT(Layer(Add({"some.file"}, "/x")), want) << filter;
    EXPECT_THAT(Layer(Add({"some*"}, "/x/")), want) << filter;
  }
}

TEST_F(Unpacking, OtherFilesAreCopied) {
  File("a.tar", "no archive at all");
  File("b.tar", std::string(10240, '\0'));
  File("c.tar", "");
  File("d.gz", "\x1f\x8b\x08 but no more");
  File("e.tar", Tar({{"a"}}).substr(0, 300));
  File("folder.tar/f");
  const std::vector<std::string> sources = {"a.tar", "b.tar", "c.tar",
                                            "d.gz",  "e.tar", "folder.tar"};
  EXPECT_THAT(Paths(Add(sources, "/x/")),
              ElementsAre("x", "x/a.tar", "x/b.tar", "x/c.tar", "x/d.gz", "x/e.tar", "x/f"));
}

TEST_F(Unpacking, ACompressedFileThatIsNoArchiveIsCopiedAsItIs) {
  const std::string tar = Tar({{"a"}}, ARCHIVE_FILTER_GZIP);
  File("t.gz", tar);
  EXPECT_THAT(Paths(Add({"t.gz"}, "/x/")), ElementsAre("x", "x/a"));
  // gzip of "hello\n".
  const std::string hello(
      "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xcb\x48\xcd\xc9\xc9\xe7\x02\x00\x20\x30\x3a\x36\x06"
      "\x00\x00\x00",
      26);
  File("h.gz", hello);
  EXPECT_THAT(Layer(Add({"h.gz"}, "/h")), ElementsAre("h f 644 0:0 '" + hello + "'"));
}

TEST_F(Unpacking, OnlyAddUnpacksAndOnlyIfItMay) {
  File("t.tar", Tar({{"a"}}));
  EXPECT_THAT(Paths(Copy({"t.tar"}, "/x/")), ElementsAre("x", "x/t.tar"));
  CopySpec spec = Add({"t.tar"}, "/x/");
  spec.unpack = false;
  EXPECT_THAT(Paths(spec), ElementsAre("x", "x/t.tar"));
}

TEST_F(Unpacking, FetchedArchivesAreUnpackedOnRequest) {
  File("t.tar", Tar({{"a"}}));
  CopySpec spec = Add({}, "/x/");
  spec.fetched = {{.name = "t.tar", .path = context_ + "/t.tar", .mtime = {}}};
  EXPECT_THAT(Paths(spec), ElementsAre("x", "x/t.tar"));
  spec.unpack = true;
  EXPECT_THAT(Paths(spec), ElementsAre("x", "x/a"));
}

TEST_F(Unpacking, EntriesKeepOwnersModesAndTimes) {
  File("t.tar", Tar({{"d/", "", 01777, 1, 2, {}, {}, 0, 55},
                     {"d/f", "x", 04755, 3, 4, {}, {}, 0, 66, {{"user.k", "v"}}},
                     {.path = "d/l", .uid = 7, .symlink = "/abs"},
                     {.path = "d/p", .mode = 0600, .type = AE_IFIFO}}));
  const DiffId made = Must(Make(Add({"t.tar"}, "/")));
  EXPECT_THAT(Listing(made), ElementsAre("d d 1777 1:2", "d/f f 4755 3:4 'x'", "d/l l 7 -> /abs",
                                         "d/p p 600 0:0"));
  EXPECT_EQ(AttributesIn(made, "d").mtime_sec, 55);
  EXPECT_EQ(AttributesIn(made, "d/f").mtime_sec, 66);
  ASSERT_EQ(XattrsIn(made, "d/f").size(), 1u);
  EXPECT_EQ(XattrsIn(made, "d/f")[0].value, "v");
}

TEST_F(Unpacking, ChownIsOfEntriesAndChmodIsNot) {
  File("t.tar", Tar({{"sub/f", "x", 0600, 3, 4}}));
  CopySpec spec = Add({"t.tar"}, "/x");
  spec.chown = "8:9";
  spec.chmod = "777";
  EXPECT_THAT(Layer(spec), ElementsAre("x d 755 8:9", "x/sub d 755 0:0", "x/sub/f f 600 8:9 'x'"));
}

TEST_F(Unpacking, TheDestinationStaysAsItIs) {
  const Chain chain = MakeChain({{{"x/", "", 0700, 5, 6}}});
  EXPECT_THAT(Unpacked({{"./", "", 0777, 1, 1}, {"./a"}}, "/x", chain),
              ElementsAre("x d 700 5:6", "x/a f 644 0:0 ''"));
}

TEST_F(Unpacking, ASymlinkThatIsTheDestinationIsFollowed) {
  const Chain chain = MakeChain({{{"real/"}, {.path = "x", .symlink = "/real"}}});
  EXPECT_THAT(Unpacked({{"a"}}, "/x", chain), ElementsAre("real d 755 0:0", "real/a f 644 0:0 ''"));
}

TEST_F(Unpacking, HardLinksStayLinks) {
  EXPECT_THAT(Unpacked({{"b", "one"}, {.path = "a", .mode = 0600, .uid = 4, .hard_link = "b"}}),
              ElementsAre("x d 755 0:0", "x/a f 600 4:0 'one'", "x/b = x/a"));
}

TEST_F(Unpacking, AHardLinkMayNameAFileOfTheChain) {
  const Chain chain = MakeChain({{{"x/"}, {"x/old", "content", 0600, 5, 5}}});
  EXPECT_THAT(Unpacked({{.path = "new", .hard_link = "old"}}, "/x", chain),
              ElementsAre("x d 755 0:0", "x/new f 644 0:0 'content'", "x/old = x/new"));
}

TEST_F(Unpacking, AHardLinkNeedsItsTarget) {
  EXPECT_THAT(Unpacked({{.path = "a", .hard_link = "none"}}),
              ElementsAre("error: link none a: No such file or directory"));
  EXPECT_THAT(Unpacked({{"d/"}, {.path = "a", .hard_link = "d"}}),
              ElementsAre("error: link d a: Operation not permitted"));
  // Names outside of the destination mean those inside.
  const Chain chain = MakeChain({{{"etc/"}, {"etc/shadow", "s"}}});
  EXPECT_THAT(Unpacked({{.path = "a", .hard_link = "/etc/shadow"}}, "/x", chain),
              ElementsAre("error: link /etc/shadow a: No such file or directory"));
}

TEST_F(Unpacking, NamesStayInTheDestination) {
  EXPECT_THAT(
      Unpacked({{"/abs/a"}, {"b/../c"}}),
      ElementsAre("x d 755 0:0", "x/abs d 755 0:0", "x/abs/a f 644 0:0 ''", "x/c f 644 0:0 ''"));
  EXPECT_THAT(Unpacked({{"../a"}}),
              ElementsAre("error: archive path \"../a\" is outside extraction root"));
  EXPECT_THAT(Unpacked({{"a/../../b"}}),
              ElementsAre("error: archive path \"a/../../b\" is outside extraction root"));
}

TEST_F(Unpacking, SymlinksAreFollowedInTheDestination) {
  EXPECT_THAT(
      Unpacked({{.path = "l", .symlink = "/y"}, {"l/a", "one"}}),
      ElementsAre("x d 755 0:0", "x/l l 0 -> /y", "x/y d 755 0:0", "x/y/a f 644 0:0 'one'"));
  const Chain chain = MakeChain({{{"x/"}, {.path = "x/l", .symlink = "/etc"}, {"etc/"}}});
  EXPECT_THAT(Unpacked({{"l/a", "one"}}, "/x", chain),
              ElementsAre("x d 755 0:0", "x/etc d 755 0:0", "x/etc/a f 644 0:0 'one'"));
}

TEST_F(Unpacking, SymlinksThatLeadOutAreRefused) {
  EXPECT_THAT(Unpacked({{.path = "l", .symlink = "../y"}, {"l/a"}}),
              ElementsAre("error: archive path \"l/a\" is outside extraction root"));
  EXPECT_THAT(Unpacked({{.path = "l", .symlink = "l"}, {"l/a"}}),
              ElementsAre("error: too many links"));
  // A symlink that nothing goes through may point anywhere.
  EXPECT_THAT(Unpacked({{.path = "l", .symlink = "../../y"}}),
              ElementsAre("x d 755 0:0", "x/l l 0 -> ../../y"));
}

TEST_F(Unpacking, EntriesReplaceWhatIsThere) {
  const Chain chain = MakeChain({{{"x/"},
                                  {"x/file", "old"},
                                  {.path = "x/link", .symlink = "file"},
                                  {"x/dir/"},
                                  {"x/dir/in", "old"},
                                  {"x/kept/", "", 0700},
                                  {"x/kept/in", "old"}}});
  EXPECT_THAT(Unpacked({{"file/"}, {"link", "new"}, {"dir", "new"}, {"kept/", "", 0711, 4, 4}},
                       "/x", chain),
              ElementsAre("x d 755 0:0", "x/dir f 644 0:0 'new'", "x/file d 755 0:0",
                          "x/kept d 711 4:4", "x/link f 644 0:0 'new'"));
}

TEST_F(Unpacking, ADirectoryThatWasReplacedTwiceHidesTheChains) {
  const Chain chain = MakeChain({{{"x/"}, {"x/d/"}, {"x/d/old"}}});
  EXPECT_THAT(Unpacked({{"d", "file"}, {"d/"}, {"d/new"}}, "/x", chain),
              ElementsAre("x d 755 0:0", "x/d d 755 0:0 opaque", "x/d/new f 644 0:0 ''"));
}

TEST_F(Unpacking, TheLastEntryOfANameCounts) {
  EXPECT_THAT(Unpacked({{"a", "one"}, {"a", "two", 0600}}),
              ElementsAre("x d 755 0:0", "x/a f 600 0:0 'two'"));
}

TEST_F(Unpacking, LargeContentsAndManySmallOnesArriveWhole) {
  std::string large(5 << 20, '\0');
  for (size_t i = 0; i < large.size(); ++i) large[i] = static_cast<char>(i * 3 + (i >> 11));
  std::vector<Entry> entries = {{"large", large}};
  for (int i = 0; i < 300; ++i) entries.push_back({std::to_string(i), "n" + std::to_string(i)});
  const auto lines = Unpacked(entries);
  EXPECT_EQ(lines.size(), 302u);
  EXPECT_THAT(lines, ::testing::Contains("x/217 f 644 0:0 'n217'"));
  EXPECT_TRUE(store().objects().Has(ObjectOf(large)));
}

TEST_F(Unpacking, SparseFilesAreWhole) {
  std::string content(3 << 20, '\0');
  content.replace(1 << 20, 4, "data");
  File("t.tar", veneer::test::MakeTar({{.path = "s",
                                        .content = "data",
                                        .size = static_cast<int64_t>(content.size()),
                                        .data_at = 1 << 20}}));
  EXPECT_THAT(Layer(Add({"t.tar"}, "/x/")), ElementsAre("x d 755 0:0", "x/s f 644 0:0 '3145728'"));
  EXPECT_TRUE(store().objects().Has(ObjectOf(content)));
}

TEST_F(Unpacking, SeveralArchivesGoOverEachOther) {
  File("1.tar", Tar({{"a", "one"}, {"b", "one"}}));
  File("2.tar", Tar({{"b", "two"}}));
  File("plain", "p");
  EXPECT_THAT(Layer(Add({"1.tar", "2.tar", "plain"}, "/x/")),
              ElementsAre("x d 755 0:0", "x/a f 644 0:0 'one'", "x/b f 644 0:0 'two'",
                          "x/plain f 644 0:0 'p'"));
}

TEST_F(Unpacking, DamagedArchivesAreAnError) {
  const std::string tar = Tar({{"a", std::string(3000, 'x')}, {"b"}});
  File("t.tar", tar.substr(0, 2000));
  EXPECT_THAT(Layer(Add({"t.tar"}, "/x/")).at(0), HasSubstr("error: "));
  std::string bad = tar;
  bad[512 + 3072 + 5] ^= 1;  // in the header of b
  File("t.tar", bad);
  EXPECT_THAT(Layer(Add({"t.tar"}, "/x/")).at(0), HasSubstr("error: "));
}

TEST_F(Unpacking, NamesOfWhiteoutsAreRefused) {
  EXPECT_THAT(Unpacked({{".wh.a"}}).at(0), HasSubstr("'/x/.wh.a' cannot be in a layer"));
}

TEST_F(Unpacking, AnArchiveThatChangesMeanwhileIsAnError) {
  File("t.tar", Tar({{"a", "one"}}));
  const auto step = Must(Prepare(Add({"t.tar"}, "/x"), nullptr));
  File("t.tar", Tar({{"a", "two"}}));
  EXPECT_EQ(Write(*step).error().code(), EAGAIN);
}

TEST_F(Unpacking, ArchivesOfAChainAreUnpackedToo) {
  const Chain image = MakeChain({{{"t.tar", Tar({{"a", "one"}})}}});
  const auto from = OpenChainSource(store(), image);
  CopySpec spec = From(*from, {"t.tar"}, "/x");
  spec.is_add = true;
  EXPECT_THAT(Layer(spec), ElementsAre("x d 755 0:0", "x/a f 644 0:0 'one'"));
}

}  // namespace
}  // namespace veneer::build::test
