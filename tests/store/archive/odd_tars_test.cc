// Handmade tars: what readers of tar disagree about, and what is damaged.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <random>

#include "store/base/bytes.h"
#include "tests/store/archive/tar_test_util.h"

namespace veneer::test {
namespace {

std::string File(const std::string& name, std::string_view content) {
  return Header({.name = name, .size = content.size()}) + Padded(content);
}

// --- odd, but read

TEST(OddTar, DuplicateEntriesAreAllGiven) {
  SeenTar seen = ExpectRoundTrip(File("a", "one") + File("a", "two") + EndMarker());
  ASSERT_EQ(seen.entries.size(), 2u);
  EXPECT_EQ(seen.entries[0].content, "one");
  EXPECT_EQ(seen.entries[1].content, "two");
}

TEST(OddTar, WhatFollowsTheEndMarkerIsKept) {
  for (const std::string& tail : {std::string("garbage"), std::string(70'000, 'g'),
                                  std::string(9'216, '\0'), File("hidden", "x") + EndMarker()}) {
    SeenTar seen = ExpectRoundTrip(File("a", "one") + EndMarker() + tail);
    EXPECT_EQ(seen.entries.size(), 1u);
  }
}

TEST(OddTar, TheEndMarkerMayBeMissingOrHalf) {
  EXPECT_EQ(ExpectRoundTrip(File("a", "one")).entries.size(), 1u);
  EXPECT_EQ(ExpectRoundTrip(File("a", "one") + std::string(512, '\0')).entries.size(), 1u);
  // One zero block ends an archive for every reader but Go's.
  EXPECT_EQ(
      ExpectRoundTrip(File("a", "1") + std::string(512, '\0') + File("b", "2")).entries.size(), 1u);
  EXPECT_EQ(ExpectRoundTrip(std::string(512, '\0')).entries.size(), 0u);
  EXPECT_EQ(ExpectRoundTrip(std::string(10'240, '\0')).entries.size(), 0u);
}

TEST(OddTar, AGlobalHeaderIsPassedOver) {
  std::string global =
      PaxHeader(PaxRecord("comment", "of git archive") + PaxRecord("uid", "7"), 'g');
  SeenTar seen =
      ExpectRoundTrip(global + File("a", "one") + global + File("b", "two") + EndMarker());
  ASSERT_EQ(seen.entries.size(), 2u);
  EXPECT_EQ(seen.entries[0].entry.attr.uid, 0u);
  EXPECT_TRUE(ExpectRoundTrip(global + EndMarker()).entries.empty());
  EXPECT_TRUE(ExpectRoundTrip(global).entries.empty());
}

TEST(OddTar, ADirectoryMayBeTheOldestKind) {
  std::string old = Header({.name = "dir/", .type = '\0', .magic = std::string(8, '\0')});
  SeenTar seen = ExpectRoundTrip(old + File("dir/a", "x") + EndMarker());
  ASSERT_EQ(seen.entries.size(), 2u);
  EXPECT_TRUE(S_ISDIR(seen.entries[0].entry.attr.mode));
}

TEST(OddTar, SizesOfEntriesWithoutContentAreIgnored) {
  std::string tar;
  for (char type : {'2', '3', '4', '5', '6'}) {
    tar += Header({.name = std::string("e") + type, .type = type, .size = 99, .link = "to"});
  }
  // Old hard links repeat their file's size, too.
  tar += Header({.name = "h", .type = '1', .size = 99, .link = "to"});
  tar += Header({.name = "h", .type = '1', .size = 99, .link = "to", .magic = GnuMagic()});
  SeenTar seen = ExpectRoundTrip(tar + File("after", "x") + EndMarker());
  EXPECT_EQ(seen.entries.size(), 8u);
}

TEST(OddTar, APaxHardLinkMayCarryItsContentWhichIsNotKept) {
  std::string link = PaxHeader(PaxRecord("mtime", "1")) +
                     Header({.name = "hard", .type = '1', .size = 600, .link = "file"}) +
                     Padded(std::string(600, 'x'));
  SeenTar seen = ExpectRoundTrip(link + File("after", "x") + EndMarker());
  ASSERT_EQ(seen.entries.size(), 2u);
  EXPECT_EQ(seen.entries[0].entry.kind, TarEntry::Kind::kHardLink);
  EXPECT_TRUE(seen.entries[0].extents.empty());
  EXPECT_EQ(seen.payload_bytes, 1u);
}

TEST(OddTar, UnknownTypesAreRegularFiles) {
  std::string tar = Header({.name = "contiguous", .type = '7', .size = 2}) + Padded("77") +
                    Header({.name = "vendor", .type = 'Z', .size = 2}) + Padded("ZZ") + EndMarker();
  SeenTar seen = ExpectRoundTrip(tar);
  ASSERT_EQ(seen.entries.size(), 2u);
  EXPECT_EQ(seen.entries[0].content, "77");
  EXPECT_EQ(seen.entries[1].content, "ZZ");
}

TEST(OddTar, NumbersMayBeBase256) {
  std::string size(12, '\0');
  size[0] = '\x80';
  size[11] = 5;
  SeenTar seen = ExpectRoundTrip(Header({.name = "a", .raw_size = size}) + Padded("12345") +
                                 Header({.name = "b", .raw_size = std::string(12, ' ')}) +
                                 Header({.name = "c", .raw_size = "      3     "}) + Padded("123") +
                                 EndMarker());
  ASSERT_EQ(seen.entries.size(), 3u);
  EXPECT_EQ(seen.entries[0].content, "12345");
  EXPECT_EQ(seen.entries[2].content, "123");
}

TEST(OddTar, NamesThatAgreeMayBeGivenTwice) {
  std::string name(150, 'n');
  SeenTar seen = ExpectRoundTrip(LongName(name) + PaxHeader(PaxRecord("path", name)) +
                                 File("n", "x") + EndMarker());
  ASSERT_EQ(seen.entries.size(), 1u);
  EXPECT_EQ(seen.entries[0].entry.path, name);
}

TEST(OddTar, PaxTimesCountForwardFromTheSecond) {
  std::string tar;
  for (const char* mtime : {"-1.25", "-0.5", "-3", "1.9999999999", "0", "-9000000000.000000001"}) {
    tar += PaxHeader(PaxRecord("mtime", mtime)) + File("f", "");
  }
  SeenTar seen = ExpectRoundTrip(tar + EndMarker());
  ASSERT_EQ(seen.entries.size(), 6u);
  std::vector<std::pair<int64_t, uint32_t>> want = {{-2, 750'000'000},
                                                    {-1, 500'000'000},
                                                    {-3, 0},
                                                    {1, 999'999'999},
                                                    {0, 0},
                                                    {-9'000'000'001, 999'999'999}};
  for (size_t i = 0; i < want.size(); ++i) {
    EXPECT_EQ(seen.entries[i].entry.attr.mtime_sec, want[i].first);
    EXPECT_EQ(seen.entries[i].entry.attr.mtime_nsec, want[i].second);
  }
}

TEST(OddTar, AnXattrInTwoEncodingsIsOne) {
  std::string records = PaxRecord("LIBARCHIVE.xattr.user.a%20b", "MQ") +
                        PaxRecord("SCHILY.xattr.user.a b", "1") +
                        PaxRecord("RHT.security.selinux", "label");
  SeenTar seen = ExpectRoundTrip(PaxHeader(records) + File("f", "") + EndMarker());
  ASSERT_EQ(seen.entries.size(), 1u);
  ASSERT_EQ(seen.entries[0].entry.xattrs.size(), 2u);
  EXPECT_EQ(seen.entries[0].Xattr("user.a b"), "1");
  EXPECT_EQ(seen.entries[0].Xattr("security.selinux"), "label");
}

TEST(OddTar, AclTextBecomesAnXattrAndTheMode) {
  auto acl = [](const std::string& text, const std::string& more = "") {
    SeenTar seen = ExpectRoundTrip(PaxHeader(PaxRecord("SCHILY.acl.access", text) + more) +
                                   Header({.name = "f", .mode = 0754}) + EndMarker());
    return seen.entries.empty() ? SeenEntry() : seen.entries[0];
  };
  SeenEntry e = acl("user::rwx\nuser:lisa:r-x:1000,group::r--,group:77:rw-,mask::rwx,other::--x\n");
  EXPECT_EQ(e.entry.attr.mode & 0777, 0771u);
  std::string want;
  AppendLE(want, uint32_t{2});
  for (auto [tag, permissions, id] : std::vector<std::tuple<uint16_t, uint16_t, uint32_t>>{
           {1, 7, ~0u}, {2, 5, 1000}, {4, 4, ~0u}, {8, 6, 77}, {16, 7, ~0u}, {32, 1, ~0u}}) {
    AppendLE(want, tag);
    AppendLE(want, permissions);
    AppendLE(want, id);
  }
  EXPECT_EQ(e.Xattr("system.posix_acl_access"), want);

  e = acl("user::rw-,group::---,other::r--");  // says no more than the mode
  EXPECT_EQ(e.entry.attr.mode & 0777, 0604u);
  EXPECT_TRUE(e.entry.xattrs.empty());

  e = acl("user::rwx,user:5:rwx,group::r-x,mask::rwx,other::r-x",
          PaxRecord("SCHILY.xattr.system.posix_acl_access", "binary"));
  EXPECT_EQ(e.Xattr("system.posix_acl_access"), "binary");
  EXPECT_EQ(e.entry.attr.mode & 0777, 0754u);
}

// --- refused, because two readers could see two trees

TEST(OddTar, TwoNamesForOneEntryAreRefused) {
  ExpectRefused(LongName("long") + PaxHeader(PaxRecord("path", "pax")) + File("f", "x"), "differ");
  ExpectRefused(PaxHeader(PaxRecord("path", "pax")) + LongName("long") + File("f", "x"), "differ");
  ExpectRefused(PaxHeader(PaxRecord("path", "a") + PaxRecord("path", "b")) + File("f", "x"),
                "two different values of path");
  ExpectRefused(LongName("a") + LongName("b") + File("f", "x"), "header");
  ExpectRefused(
      PaxHeader(PaxRecord("path", "a")) + PaxHeader(PaxRecord("uid", "1")) + File("f", ""),
      "header");
  ExpectRefused(PaxHeader(PaxRecord("path", std::string("a\0b", 3))) + File("f", "x"), "NUL");
}

TEST(OddTar, LinkNamesOfWhatIsNoLinkAreRefused) {
  ExpectRefused(PaxHeader(PaxRecord("linkpath", "to")) + File("f", "x"), "no link");
  ExpectRefused(LongName("to", 'K') + File("f", "x"), "no link");
}

TEST(OddTar, SizesThatReadersTakeDifferentlyAreRefused) {
  std::string body = Padded(std::string(512, 'x'));
  auto pax_size = [](const std::string& size) { return PaxHeader(PaxRecord("size", size)); };
  ExpectRefused(pax_size("512") + Header({.name = "d", .type = '5'}) + body, "no content");
  ExpectRefused(pax_size("512") + Header({.name = "s", .type = '2', .link = "to"}) + body,
                "no content");
  ExpectRefused(Header({.name = "dir/", .size = 512}) + body, "directory with content");
  ExpectRefused(pax_size("-1") + File("f", "x"), "not a number");
  ExpectRefused(pax_size("") + File("f", "x"), "not a number");
  ExpectRefused(pax_size("1x") + File("f", "x"), "not a number");
  ExpectRefused(pax_size("18446744073709551616") + File("f", "x"), "not a number");
  ExpectRefused(PaxHeader(PaxRecord("size", "1") + PaxRecord("size", "2")) + File("f", "x"),
                "two different values of size");
  ExpectRefused(PaxHeader(PaxRecord("size", "1"), 'g') + File("f", "x"), "global");
}

TEST(OddTar, APaxSizeOverridesTheHeader) {
  SeenTar seen =
      ExpectRoundTrip(PaxHeader(PaxRecord("size", "600")) + Header({.name = "f", .size = 5}) +
                      Padded(std::string(600, 'x')) + File("after", "y") + EndMarker());
  ASSERT_EQ(seen.entries.size(), 2u);
  EXPECT_EQ(seen.entries[0].content.size(), 600u);
}

TEST(OddTar, HugeAndNegativeSizesAreRefused) {
  for (const char* raw : {"\x80\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
                          "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", "77777777777x",
                          "-0000000001", "12345678901 "}) {
    ExpectRefused(Header({.name = "f", .raw_size = raw}) + EndMarker(), "not a size");
  }
  // A size that could be, of content that is not there.
  std::string size("\x80\0\0\0\0\0\x01\0\0\0\0\0", 12);
  ExpectRefused(Header({.name = "f", .raw_size = size}) + Padded("x"), "truncated");
}

TEST(OddTar, SparseFieldsWhereTheyDoNotBelongAreRefused) {
  std::string sparse = PaxRecord("GNU.sparse.size", "10") + PaxRecord("GNU.sparse.numblocks", "1") +
                       PaxRecord("GNU.sparse.map", "0,1");
  ExpectRefused(PaxHeader(sparse) + Header({.name = "d", .type = '5'}), "sparse");
  ExpectRefused(PaxHeader(PaxRecord("GNU.sparse.realsize", "10")) + File("f", "x"), "sparse");
  ExpectRefused(PaxHeader(PaxRecord("GNU.sparse.major", "2") + PaxRecord("GNU.sparse.minor", "0")) +
                    File("f", "x"),
                "sparse");
  ExpectRefused(Header({.name = "f", .type = 'S'}), "sparse");
  std::string block = Header({.name = "f", .magic = GnuMagic()});
  block.replace(386, 11, "00000000000");
  ExpectRefused(WithChecksum(block) + EndMarker(), "sparse");
  ExpectRefused(PaxHeader(PaxRecord("SUN.holesdata", " 0 1")) + File("f", "x"), "Solaris");
}

std::string SparseOne(const std::string& map, uint64_t realsize, const std::string& data) {
  std::string body = Padded(map) + data;
  return PaxHeader(PaxRecord("GNU.sparse.major", "1") + PaxRecord("GNU.sparse.minor", "0") +
                   PaxRecord("GNU.sparse.name", "s") +
                   PaxRecord("GNU.sparse.realsize", std::to_string(realsize))) +
         Header({.name = "GNUSparseFile.0/s", .size = body.size()}) + Padded(body);
}

TEST(OddTar, ASparseMapMustFit) {
  SeenTar seen = ExpectRoundTrip(SparseOne("2\n1\n2\n10\n3\n", 20, "abcde") + EndMarker());
  ASSERT_EQ(seen.entries.size(), 1u);
  EXPECT_EQ(seen.entries[0].content, std::string("\0ab\0\0\0\0\0\0\0cde\0\0\0\0\0\0\0", 20));

  ExpectRefused(SparseOne("1\n0\n9\n", 20, "abcde") + EndMarker(), "two readings");  // too long
  ExpectRefused(SparseOne("1\n0\n3\n", 20, "abcde") + EndMarker(), "two readings");  // too short
  ExpectRefused(SparseOne("1\n0\n5\n", 3, "abcde") + EndMarker(),
                "two readings");  // behind the end
  ExpectRefused(SparseOne("2\n10\n2\n0\n3\n", 20, "abcde") + EndMarker(), "two readings");
  ExpectRefused(SparseOne("2\n0\n3\n1\n2\n", 20, "abcde") + EndMarker(), "two readings");
  ExpectRefused(SparseOne("1\nx\n5\n", 20, "abcde") + EndMarker(), "numbers");
  ExpectRefused(SparseOne("1\n\n5\n", 20, "abcde") + EndMarker(), "numbers");
  ExpectRefused(SparseOne("9999999999999\n", 20, "abcde") + EndMarker(), "too many");
  ExpectRefused(SparseOne("99999999999999999999999\n", 20, "") + EndMarker(), "too long");
  ExpectRefused(SparseOne("300\n1\n", 20, "") + EndMarker(), "numbers");
  ExpectRefused(SparseOne("1\n9223372036854775807\n9223372036854775807\n", 20, "abc") + EndMarker(),
                "damaged");
}

TEST(OddTar, AFileMayBeOneHugeHole) {
  SeenTar seen =
      ExpectRoundTrip(SparseOne("1\n1125899906842624\n0\n", uint64_t{1} << 50, "") + EndMarker());
  ASSERT_EQ(seen.entries.size(), 1u);
  EXPECT_EQ(seen.entries[0].entry.attr.size, uint64_t{1} << 50);
}

TEST(OddTar, AGnuHeaderWithAPrefixIsRefused) {
  ExpectRefused(Header({.name = "f", .magic = GnuMagic(), .prefix = "dir/sub"}) + EndMarker(),
                "prefix");
}

TEST(OddTar, HeadersOfOtherSystemsAreRefused) {
  ExpectRefused(Header({.name = "v", .type = 'M', .size = 1}) + Padded("x"), "volume");
  ExpectRefused(Header({.name = "v", .type = 'V', .size = 1}) + Padded("x"), "volume");
  ExpectRefused(Header({.name = "n", .type = 'N', .size = 1}) + Padded("x"), "names");
  ExpectRefused(Header({.name = "a", .type = 'A', .size = 1}) + Padded("x"), "ACL");
}

TEST(OddTar, MalformedPaxRecordsAreRefused) {
  for (std::string_view records :
       {"x", "5 a=b", "99 a=b\n", "4 a=b\n", "6 a=b\nx", "5 =bc\n", "0 a=b\n", " 6 a=b\n",
        "6 acb\n", "-6 a=b\n", "99999999999999999999 a=b\n"}) {
    ExpectRefused(PaxHeader(records) + File("f", "x") + EndMarker(), "PAX header");
  }
  ExpectRefused(PaxHeader(PaxRecord("mtime", "12:00")) + File("f", "x"), "mtime");
  ExpectRefused(PaxHeader(PaxRecord("mtime", "99999999999999999999")) + File("f", "x"), "mtime");
}

TEST(OddTar, ExtensionHeadersAreBounded) {
  ExpectRefused(Header({.name = "x", .type = 'x', .size = (1 << 20) + 1}), "1 MiB");
  ExpectRefused(Header({.name = "L", .type = 'L', .size = (1 << 20) + 1}), "1 MiB");
  ExpectRefused(LongName(std::string(100'000, 'n')) + File("f", "x"), "64 KiB");
  std::string global = PaxHeader(PaxRecord("comment", "c"), 'g'), many;
  for (int i = 0; i < 40; ++i) many += global;
  ExpectRefused(many + File("f", "x"), "header");
  ExpectRefused(PaxHeader(PaxRecord("uid", "1")) + EndMarker(), "without an entry");
  ExpectRefused(LongName("l") + EndMarker(), "without an entry");
  ExpectRefused(PaxHeader(PaxRecord("uid", "1")), "truncated");
}

TEST(OddTar, OwnersThatDoNotFitAreRefused) {
  SeenTar seen =
      ExpectRoundTrip(PaxHeader(PaxRecord("uid", "-2") + PaxRecord("gid", "4294967294")) +
                      File("f", "x") + EndMarker());
  ASSERT_EQ(seen.entries.size(), 1u);
  EXPECT_EQ(seen.entries[0].entry.attr.uid, 4294967294u);
  EXPECT_EQ(seen.entries[0].entry.attr.gid, 4294967294u);
  ExpectRefused(PaxHeader(PaxRecord("uid", "root")) + File("f", "x"), "uid is not a number");
  for (const char* uid : {"4294967295", "-1", "99999999999", "-99999999999"}) {
    ExpectRefused(PaxHeader(PaxRecord("uid", uid)) + File("f", "x"), "owner");
  }
}

TEST(OddTar, XattrsAndAclsThatSayTwoThingsAreRefused) {
  ExpectRefused(PaxHeader(PaxRecord("SCHILY.xattr.user.a", "1") +
                          PaxRecord("LIBARCHIVE.xattr.user.a", "Mg")) +
                    File("f", "x"),
                "xattr");
  for (const char* text :
       {"nonsense", "user::rwx", "user::rwx,group::r-x,other::r-x,user:lisa:rwx,mask::rwx",
        "user::rwx,group::r-x,other::r-x,user:5:rwx", "user::rwx,group::r-x,other::r-q",
        "user::rwx,user::rwx,group::r-x,other::r-x",
        "user::rwx,user:5:r--,user:5:rwx,group::r-x,mask::rwx,other::r-x"}) {
    ExpectRefused(PaxHeader(PaxRecord("SCHILY.acl.access", text)) + File("f", "x"), "ACL");
  }
}

TEST(OddTar, WhatIsNoTarIsRefused) {
  ExpectRefused("x", "truncated");
  ExpectRefused(std::string(511, '\0'), "truncated");
  ExpectRefused(std::string(10'000, 'x'), "checksum");
  ExpectRefused(File("a", "x") + std::string(512, 'x') + EndMarker(), "checksum");
}

// --- damage

// A tar with most kinds of headers in it, a few KiB long.
std::string Mixed() {
  std::string name(130, 'n');
  return Header({.name = "dir/", .type = '5'}) + File("dir/file", std::string(700, 'f')) +
         LongName(name) + LongName(name + "l", 'K') +
         Header({.name = "n", .type = '2', .link = "l", .magic = GnuMagic()}) +
         PaxHeader(PaxRecord("path", "gr\303\274n") + PaxRecord("mtime", "12.5") +
                   PaxRecord("SCHILY.xattr.user.a", "1")) +
         File("g", std::string(512, 'g')) +
         Header({.name = "hard", .type = '1', .link = "dir/file"}) +
         SparseOne("2\n4096\n5\n9000\n600\n", 20'000, std::string(605, 's')) + EndMarker();
}

TEST(DamagedTar, TruncationIsNoticedExceptBetweenEntries) {
  std::string tar = Mixed();
  SeenTar whole = ExpectRoundTrip(tar);
  ASSERT_EQ(whole.entries.size(), 6u);
  size_t accepted = 0;
  for (size_t kept = 0; kept < tar.size(); kept += kept % 512 == 0   ? 1
                                                   : kept % 512 == 1 ? 255
                                                                     : 256) {
    Result<SeenTar> seen = ReadTar(std::string_view(tar).substr(0, kept));
    if (!seen) {
      EXPECT_EQ(seen.error().code(), EBADMSG) << seen.error().Message();
      continue;
    }
    bool behind_end_marker = kept > tar.size() - 1024;
    EXPECT_TRUE(kept % 512 == 0 || behind_end_marker) << kept;
    if (!behind_end_marker) ++accepted;
    Result<std::string> rebuilt = seen->Rebuild();
    ASSERT_TRUE(rebuilt);
    EXPECT_TRUE(*rebuilt == tar.substr(0, kept));
  }
  // Before the first entry and after each of the six.
  EXPECT_EQ(accepted, 7u);
}

TEST(DamagedTar, AnyFlippedBitIsRefusedOrRebuiltAsItIs) {
  std::string tar = Mixed();
  std::mt19937 random(1);
  for (int i = 0; i < 3000; ++i) {
    std::string damaged = tar;
    size_t at = random() % tar.size();
    damaged[at] = static_cast<char>(damaged[at] ^ (1 << random() % 8));
    if (i % 2) {  // get past the checksum as well
      size_t block = at / 512 * 512;
      damaged.replace(block, 512, WithChecksum(damaged.substr(block, 512)));
    }
    Result<SeenTar> seen = ReadTar(damaged, 1 + random() % 2000);
    if (!seen) {
      EXPECT_EQ(seen.error().code(), EBADMSG) << seen.error().Message();
      continue;
    }
    Result<std::string> rebuilt = seen->Rebuild();
    ASSERT_TRUE(rebuilt) << rebuilt.error().Message();
    ASSERT_TRUE(*rebuilt == damaged);
  }
}

TEST(DamagedTar, ErrorsOfSourceAndVisitorComeOutAsTheyAre) {
  class Broken : public ByteSource {
   public:
    Result<std::string_view> Next() override {
      if (std::exchange(given_, true)) return Fail(ECONNRESET, "read");
      return text_;
    }
    std::string text_ = Mixed().substr(0, 3000);
    bool given_ = false;
  };
  class Picky : public LayerTarVisitor {
   public:
    explicit Picky(int fail_at) : left_(fail_at) {}
    Result<> OnEntry(const TarEntry&) override { return Step(); }
    Result<> OnContent(uint64_t, std::string_view) override { return Step(); }
    Result<> OnEntryEnd() override { return Step(); }
    Result<> OnLiteral(std::string_view) override { return Step(); }
    Result<> OnPayload(const std::vector<PayloadExtent>&) override { return Step(); }
    int left_;

   private:
    Result<> Step() {
      if (left_-- == 0) return Fail(ENOSPC, "disk");
      return {};
    }
  };
  Broken broken;
  Picky never(-1);
  Result<> r = ReadLayerTar(broken, never);
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error().code(), ECONNRESET);

  std::string tar = Mixed();
  int steps = 0;
  for (;; ++steps) {
    Picky picky(steps);
    StringSource source(tar, 1000);
    r = ReadLayerTar(source, picky);
    if (r) break;
    EXPECT_EQ(r.error().code(), ENOSPC);
  }
  EXPECT_GT(steps, 20);
}

}  // namespace
}  // namespace veneer::test
