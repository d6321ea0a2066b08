#include "store/archive/canonical_tar.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "tests/store/archive/tar_test_util.h"

namespace veneer::test {
namespace {

// struct vfs_cap_data of cap_net_raw=ep.
const std::string kCapability("\1\0\0\2\0\40\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20);

TarEntry Entry(const std::string& path, uint32_t mode, uint64_t size = 0) {
  TarEntry e;
  e.path = path;
  e.attr.mode = mode;
  e.attr.size = size;
  e.attr.mtime_sec = 1'700'000'000;
  return e;
}

// Writes entries; each regular file's content is its size in "c"s.
Result<std::string> WriteTar(const std::vector<TarEntry>& entries) {
  StringSink out;
  TRY_ASSIGN(auto writer, CanonicalTarWriter::Create(out, out));
  for (const TarEntry& e : entries) {
    TRY(writer->WriteEntry(e));
    if (e.kind == TarEntry::Kind::kInode && S_ISREG(e.attr.mode)) {
      TRY(writer->WriteContent(std::string(e.attr.size, 'c')));
    }
  }
  TRY(writer->Finish());
  return std::move(out.text);
}

// One of everything, with what needs PAX among it.
std::vector<TarEntry> Everything() {
  std::vector<TarEntry> all;
  std::string n(120, 'n');
  all.push_back(Entry("dir", S_IFDIR | 01777));
  all.push_back(Entry("dir/file", S_IFREG | 04755, 700));
  all.push_back(Entry("dir/empty", S_IFREG));
  all.push_back(Entry(n + "/fits/" + std::string(100, 'm'), S_IFREG | 0644, 512));
  all.push_back(Entry(n + n + "/too/long", S_IFREG | 0644, 1));
  all.push_back(Entry(std::string(100, 'd'), S_IFDIR | 0755));
  all.push_back(Entry("gr\303\274n", S_IFREG | 0644, 3));
  all.push_back(Entry("latin\374", S_IFREG | 0644, 3));
  all.push_back(Entry("soft", S_IFLNK | 0777));
  all.back().link_target = n;
  all.push_back(Entry("hard", S_IFREG | 0644, 700));
  all.back().kind = TarEntry::Kind::kHardLink;
  all.back().link_target = "dir/file";
  all.push_back(Entry("char", S_IFCHR | 0600));
  all.back().attr.rdev_major = 4095;
  all.back().attr.rdev_minor = 1048575;
  all.push_back(Entry("block", S_IFBLK | 0600));
  all.push_back(Entry("fifo", S_IFIFO | 0600));
  all.push_back(Entry("owner", S_IFREG | 0600, 5));
  all.back().attr.uid = 3'000'000'000;
  all.back().attr.gid = 07777777;
  all.push_back(Entry("nano", S_IFREG | 0600));
  all.back().attr.mtime_nsec = 120'000'000;
  all.push_back(Entry("old", S_IFREG | 0600));
  all.back().attr.mtime_sec = -2;
  all.back().attr.mtime_nsec = 250'000'000;
  all.push_back(Entry("far", S_IFREG | 0600));
  all.back().attr.mtime_sec = int64_t{1} << 40;
  all.push_back(Entry("xattrs", S_IFREG | 0600, 9));
  all.back().xattrs = {{.name = "user.z", .value = std::string("\0\n=", 3)},
                       {.name = "security.capability", .value = kCapability},
                       {.name = "user.a", .value = ""}};
  return all;
}

TEST(CanonicalTar, ReadsBackAsItWasWritten) {
  std::vector<TarEntry> all = Everything();
  Result<std::string> tar = WriteTar(all);
  ASSERT_TRUE(tar) << tar.error().Message();
  SeenTar seen = ExpectRoundTrip(*tar);
  ASSERT_EQ(seen.entries.size(), all.size());
  for (size_t i = 0; i < all.size(); ++i) {
    TarEntry want = all[i];
    const TarEntry& got = seen.entries[i].entry;
    SCOPED_TRACE(want.path);
    if (S_ISDIR(want.attr.mode)) want.path += '/';
    EXPECT_EQ(got.path, want.path);
    EXPECT_EQ(got.kind, want.kind);
    EXPECT_EQ(got.link_target, want.link_target);
    EXPECT_EQ(got.attr.mode, want.attr.mode);
    EXPECT_EQ(got.attr.uid, want.attr.uid);
    EXPECT_EQ(got.attr.gid, want.attr.gid);
    EXPECT_EQ(got.attr.mtime_sec, want.attr.mtime_sec);
    EXPECT_EQ(got.attr.mtime_nsec, want.attr.mtime_nsec);
    EXPECT_EQ(got.attr.rdev_major, want.attr.rdev_major);
    EXPECT_EQ(got.attr.rdev_minor, want.attr.rdev_minor);
    EXPECT_EQ(got.xattrs.size(), want.xattrs.size());
    for (const tree::Xattr& x : want.xattrs) EXPECT_EQ(seen.entries[i].Xattr(x.name), x.value);
    if (want.kind == TarEntry::Kind::kInode && S_ISREG(want.attr.mode)) {
      EXPECT_EQ(seen.entries[i].content, std::string(want.attr.size, 'c'));
    }
  }
}

// The bytes are part of the format: a committed layer's digest must not change with Veneer's
// version.
TEST(CanonicalTar, KeepsItsBytes) {
  Result<std::string> tar = WriteTar(Everything());
  ASSERT_TRUE(tar);
  EXPECT_EQ(Digest::Of(*tar).Hex(),
            "33244bf69f128ff81d99f6095a100957394bb30fc00dfb6f65a8273ad20412a5");
}

TEST(CanonicalTar, DoesNotDependOnTheOrderOfXattrs) {
  TarEntry e = Entry("f", S_IFREG | 0644);
  e.xattrs = {{.name = "user.a", .value = "1"}, {.name = "user.b", .value = "2"}};
  Result<std::string> one = WriteTar({e});
  std::swap(e.xattrs[0], e.xattrs[1]);
  Result<std::string> two = WriteTar({e});
  ASSERT_TRUE(one && two);
  EXPECT_EQ(*one, *two);
}

TEST(CanonicalTar, IsUnderstoodByGnuTarBsdtarAndPython) {
  Result<std::string> tar = WriteTar(Everything());
  ASSERT_TRUE(tar);
  Scratch s;
  s.Write("c.tar", *tar);
  ASSERT_TRUE(s.Run(R"sh(
mkdir gnu bsd
tar -C gnu --warning=no-timestamp -xpf c.tar --xattrs --xattrs-include='user.*'
bsdtar -C bsd -xpf c.tar --exclude far
n=$(printf 'n%.0s' $(seq 120))
for d in gnu bsd; do
  cd $d
  test "$(stat -c '%a %s %h' dir/file)" = '4755 700 2'
  test "$(stat -c %a dir)" = 1777
  test $n/fits/*mmm -ef $n/fits/$(printf 'm%.0s' $(seq 100))
  test "$(cat $n$n/too/long)" = c
  test "$(cat "$(printf 'gr\303\274n')")" = ccc
  test "$(cat "$(printf 'latin\374')")" = ccc
  test "$(readlink soft)" = "$n"
  test "$(stat -c '%t %T' char)" = 'fff fffff'
  test "$(stat -c '%u %g' owner)" = '3000000000 2097151'
  test "$(stat -c %.9Y nano)" = 1700000000.120000000
  test "$(getfattr -n user.z -e hex xattrs | grep 0x)" = 'user.z=0x000a3d'
  cd ..
done
python3 - <<'END'
import tarfile
t = tarfile.open("c.tar")
assert t.getmember("old").mtime == -1.75, t.getmember("old").mtime
assert t.getmember("far").mtime == 2**40
assert t.getmember("gr\u00fcn").size == 3
END
)sh"));
}

TEST(CanonicalTar, EndsWithTwoZeroBlocksAndNoMore) {
  Result<std::string> tar = WriteTar({Entry("f", S_IFREG | 0644, 1)});
  ASSERT_TRUE(tar);
  EXPECT_EQ(tar->size(), 512u + 512 + 1024);
  Result<std::string> empty = WriteTar({});
  ASSERT_TRUE(empty);
  EXPECT_EQ(*empty, std::string(1024, '\0'));
}

// LayerWriter notes the payload in its recipe after the content, before the next entry.
TEST(CanonicalTar, WritesPaddingOnlyWithTheNextCall) {
  StringSink literal, payload;
  auto writer = CanonicalTarWriter::Create(literal, payload);
  ASSERT_TRUE(writer);
  ASSERT_TRUE((*writer)->WriteEntry(Entry("f", S_IFREG | 0644, 3)));
  ASSERT_TRUE((*writer)->WriteContent("ab"));
  ASSERT_TRUE((*writer)->WriteContent("c"));
  EXPECT_EQ(payload.text, "abc");
  EXPECT_EQ(literal.text.size(), 512u);
  ASSERT_TRUE((*writer)->Finish());
  EXPECT_EQ(literal.text.size(), 512u + 509 + 1024);
}

TEST(CanonicalTar, SaysSizesThatUstarCannot) {
  StringSink literal, payload;
  auto writer = CanonicalTarWriter::Create(literal, payload);
  ASSERT_TRUE(writer);
  ASSERT_TRUE((*writer)->WriteEntry(Entry("huge", S_IFREG | 0644, uint64_t{1} << 33)));
  EXPECT_NE(literal.text.find("19 size=8589934592\n"), std::string::npos);
}

TEST(CanonicalTar, RefusesWhatATarCannotCarry) {
  auto code = [](const TarEntry& e) {
    StringSink out;
    return (*CanonicalTarWriter::Create(out, out))->WriteEntry(e).error().code();
  };
  EXPECT_EQ(code(Entry("socket", S_IFSOCK | 0600)), EINVAL);
  EXPECT_EQ(code(Entry("", S_IFREG | 0600)), EINVAL);
  EXPECT_EQ(code(Entry(std::string("a\0b", 3), S_IFREG | 0600)), EINVAL);
  EXPECT_EQ(code(Entry("link", S_IFLNK | 0777)), EINVAL);
  TarEntry e = Entry("f", S_IFREG | 0600);
  e.xattrs = {{.name = "user.a=b", .value = ""}};
  EXPECT_EQ(code(e), EINVAL);
  e = Entry("d", S_IFCHR | 0600);
  e.attr.rdev_minor = 1u << 31;
  EXPECT_EQ(code(e), EINVAL);
}

TEST(CanonicalTar, RefusesContentThatDoesNotFitItsEntry) {
  StringSink out;
  auto writer = CanonicalTarWriter::Create(out, out);
  ASSERT_TRUE(writer);
  ASSERT_TRUE((*writer)->WriteEntry(Entry("f", S_IFREG | 0644, 2)));
  EXPECT_FALSE((*writer)->WriteContent("abc"));
  EXPECT_FALSE((*writer)->WriteEntry(Entry("g", S_IFREG | 0644)));
  EXPECT_FALSE((*writer)->Finish());
  ASSERT_TRUE((*writer)->WriteContent("ab"));
  EXPECT_TRUE((*writer)->Finish());
}

}  // namespace
}  // namespace veneer::test
