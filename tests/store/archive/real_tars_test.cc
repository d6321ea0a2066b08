// Tars made by the real programs: read right, and rebuilt bit for bit.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <sstream>
#include <tuple>

#include "store/archive/compression.h"
#include "tests/store/archive/tar_test_util.h"

namespace veneer::test {
namespace {

// Python's tarfile, told a format: PAX, GNU or USTAR.
constexpr const char* kPython = R"sh(
cat >mk.py <<'END'
import sys, tarfile
with tarfile.open("out.tar", "w", format=getattr(tarfile, sys.argv[1] + "_FORMAT")) as t:
    t.add("t")
END
)sh";

// A tree with one of everything that a tar without extensions can carry.
constexpr const char* kPlainTree = R"sh(
mkdir -p t/dir/sub
printf hello >t/dir/file
: >t/empty
head -c 100000 /dev/zero | tr '\0' x >t/big
ln t/dir/file t/dir/hard
ln -s dir/file t/soft
mkfifo t/fifo
mknod t/char c 5 1
mknod t/block b 7 300
chmod 4755 t/dir/file
chmod 1777 t/dir
touch -d @1600000000 t/dir/file
)sh";

void ExpectPlainTree(const SeenTar& seen) {
  const SeenEntry* file = seen.Find("t/dir/file");
  const SeenEntry* hard = seen.Find("t/dir/hard");
  ASSERT_TRUE(file && hard);
  if (file->entry.kind == TarEntry::Kind::kHardLink) std::swap(file, hard);
  EXPECT_EQ(file->content, "hello");
  EXPECT_EQ(file->entry.attr.mode, S_IFREG | 04755u);
  EXPECT_EQ(file->entry.attr.mtime_sec, 1600000000);
  EXPECT_EQ(file->entry.attr.size, 5u);
  EXPECT_EQ(hard->entry.kind, TarEntry::Kind::kHardLink);
  EXPECT_EQ(hard->entry.link_target, file->entry.path);
  EXPECT_TRUE(hard->extents.empty());

  const SeenEntry* big = seen.Find("t/big");
  ASSERT_TRUE(big);
  EXPECT_EQ(big->content, std::string(100000, 'x'));
  const SeenEntry* soft = seen.Find("t/soft");
  ASSERT_TRUE(soft);
  EXPECT_TRUE(S_ISLNK(soft->entry.attr.mode));
  EXPECT_EQ(soft->entry.link_target, "dir/file");
  EXPECT_EQ(soft->entry.attr.size, 8u);
  const SeenEntry* dir = seen.Find("t/dir/");
  ASSERT_TRUE(dir || (dir = seen.Find("t/dir")));
  EXPECT_EQ(dir->entry.attr.mode, S_IFDIR | 01777u);
}

void ExpectDevices(const SeenTar& seen) {
  const SeenEntry* c = seen.Find("t/char");
  const SeenEntry* b = seen.Find("t/block");
  const SeenEntry* fifo = seen.Find("t/fifo");
  ASSERT_TRUE(c && b && fifo);
  EXPECT_TRUE(S_ISCHR(c->entry.attr.mode));
  EXPECT_EQ(c->entry.attr.rdev_major, 5u);
  EXPECT_EQ(c->entry.attr.rdev_minor, 1u);
  EXPECT_TRUE(S_ISBLK(b->entry.attr.mode));
  EXPECT_EQ(b->entry.attr.rdev_major, 7u);
  EXPECT_EQ(b->entry.attr.rdev_minor, 300u);
  EXPECT_TRUE(S_ISFIFO(fifo->entry.attr.mode));
}

class PlainTar : public testing::TestWithParam<const char*> {};

TEST_P(PlainTar, ReadsAndRebuilds) {
  Scratch s;
  std::string command = GetParam();
  ASSERT_TRUE(s.Run(std::string(kPython) + kPlainTree + command));
  SeenTar seen = ExpectRoundTrip(s.Read("out.tar"));
  ExpectPlainTree(seen);
  if (command.find("v7") == command.npos) ExpectDevices(seen);
}

INSTANTIATE_TEST_SUITE_P(
    Writers, PlainTar,
    testing::Values("tar -cf out.tar --format=gnu t", "tar -cf out.tar --format=pax t",
                    "tar -cf out.tar --format=ustar t", "tar -cf out.tar --format=oldgnu t",
                    "rm t/char t/block t/fifo; tar -cf out.tar --format=v7 t",
                    "tar -cf out.tar -b1 t", "tar -cf out.tar --incremental t",
                    "tar -cf out.tar --label=volume t", "bsdtar -cf out.tar --format=pax t",
                    "bsdtar -cf out.tar --format=rpax t", "bsdtar -cf out.tar --format=ustar t",
                    "bsdtar -cf out.tar --format=gnutar t", "python3 mk.py PAX",
                    "python3 mk.py GNU", "python3 mk.py USTAR"));

class LongNames : public testing::TestWithParam<const char*> {};

TEST_P(LongNames, ComeBackWhole) {
  Scratch s;
  ASSERT_TRUE(s.Run(std::string(kPython) + R"sh(
n=$(printf '%0200d' 0)
mkdir -p t/$n/$n
printf a >t/$n/$n/file
ln t/$n/$n/file t/$n/hard
ln -s $n/$n/target t/soft
)sh" + GetParam()));
  SeenTar seen = ExpectRoundTrip(s.Read("out.tar"));
  std::string n(200, '0');
  const SeenEntry* file = seen.Find("t/" + n + "/" + n + "/file");
  const SeenEntry* hard = seen.Find("t/" + n + "/hard");
  const SeenEntry* soft = seen.Find("t/soft");
  ASSERT_TRUE(file && hard && soft);
  if (file->entry.kind == TarEntry::Kind::kHardLink) std::swap(file, hard);
  EXPECT_EQ(file->content, "a");
  EXPECT_EQ(hard->entry.link_target, file->entry.path);
  EXPECT_EQ(soft->entry.link_target, n + "/" + n + "/target");
}

INSTANTIATE_TEST_SUITE_P(
    Writers, LongNames,
    testing::Values("tar -cf out.tar --format=gnu t", "tar -cf out.tar --format=pax t",
                    "bsdtar -cf out.tar --format=pax t", "bsdtar -cf out.tar --format=rpax t",
                    "bsdtar -cf out.tar --format=gnutar t", "python3 mk.py PAX"));

class ForeignNames : public testing::TestWithParam<const char*> {};

TEST_P(ForeignNames, AreRawBytes) {
  Scratch s;
  ASSERT_TRUE(s.Run(std::string(R"sh(
mkdir t
printf 1 >"t/$(printf 'gr\303\274n')"
printf 2 >"t/$(printf 'latin\374')"
ln -s "$(printf 'to\374\377')" t/soft
ln "t/$(printf 'latin\374')" t/hard
mkdir "t/$(printf 'dir\374')"
printf 3 >"t/$(printf 'surrogate\355\240\275\355\270\200')"
)sh") + GetParam()));
  SeenTar seen = ExpectRoundTrip(s.Read("out.tar"));
  const SeenEntry* utf8 = seen.Find("t/gr\303\274n");
  const SeenEntry* latin = seen.Find("t/latin\374");
  const SeenEntry* soft = seen.Find("t/soft");
  const SeenEntry* hard = seen.Find("t/hard");
  const SeenEntry* dir = seen.Find("t/dir\374/");
  ASSERT_TRUE(utf8 && latin && soft && hard && (dir || (dir = seen.Find("t/dir\374"))));
  EXPECT_EQ(utf8->content, "1");
  // bsdtar takes surrogates for UTF-16 gone wrong and writes another name.
  if (!std::string_view(GetParam()).starts_with("bsdtar")) {
    const SeenEntry* odd = seen.Find("t/surrogate\355\240\275\355\270\200");
    ASSERT_TRUE(odd);
    EXPECT_EQ(odd->content, "3");
  }
  EXPECT_EQ(soft->entry.link_target, "to\374\377");
  EXPECT_TRUE(S_ISDIR(dir->entry.attr.mode));
  if (latin->entry.kind == TarEntry::Kind::kHardLink) std::swap(latin, hard);
  EXPECT_EQ(latin->content, "2");
  EXPECT_EQ(hard->entry.link_target, latin->entry.path);
}

INSTANTIATE_TEST_SUITE_P(
    Writers, ForeignNames,
    testing::Values("tar -cf out.tar --format=gnu t", "tar -cf out.tar --format=pax t",
                    "tar -cf out.tar --format=ustar t", "bsdtar -cf out.tar --format=pax t",
                    "bsdtar -cf out.tar --format=rpax t", "bsdtar -cf out.tar --format=gnutar t",
                    "LC_ALL=C bsdtar -cf out.tar --format=pax t"));

// --- sparse files

class SparseTar : public testing::TestWithParam<std::tuple<const char*, int>> {};

TEST_P(SparseTar, KeepsHolesAndRebuilds) {
  auto [command, pieces] = GetParam();
  Scratch s;
  ASSERT_TRUE(s.Run(R"sh(
mkdir t
python3 - )sh" + std::to_string(pieces) +
                    R"sh( <<'END'
import sys
n = int(sys.argv[1])
f = open("t/sparse", "wb")
for i in range(n):
    f.seek(i * 20480 + 4096)
    f.write(b"%08d" % i * 512)
f.truncate(n * 20480 + 12345)
END
printf after >t/z-after
)sh" + std::string(command)));
  std::string content = s.Read("t/sparse");
  SeenTar seen = ExpectRoundTrip(s.Read("out.tar"));
  const SeenEntry* sparse = seen.Find("t/sparse");
  const SeenEntry* after = seen.Find("t/z-after");
  ASSERT_TRUE(sparse && after);
  EXPECT_EQ(sparse->entry.attr.size, content.size());
  EXPECT_TRUE(sparse->content == content);
  EXPECT_EQ(sparse->extents.size(), static_cast<size_t>(pieces));
  EXPECT_EQ(after->content, "after");
}

INSTANTIATE_TEST_SUITE_P(
    Writers, SparseTar,
    testing::Combine(testing::Values("tar -cSf out.tar --format=gnu t",
                                     "tar -cSf out.tar --format=pax --sparse-version=0.0 t",
                                     "tar -cSf out.tar --format=pax --sparse-version=0.1 t",
                                     "tar -cSf out.tar --format=pax --sparse-version=1.0 t",
                                     "bsdtar -cf out.tar --read-sparse --format=pax t",
                                     "bsdtar -cf out.tar --read-sparse --format=rpax t"),
                     testing::Values(0, 1, 4, 5, 26, 200)));

// --- attributes

TEST(RealTar, CarriesXattrsAclsAndCapabilities) {
  for (const char* command :
       {"tar -cf out.tar --format=pax --xattrs --xattrs-include='*' --acls --numeric-owner t",
        "bsdtar -cf out.tar --format=pax --xattrs --acls t",
        "bsdtar -cf out.tar --format=rpax --xattrs --acls t"}) {
    SCOPED_TRACE(command);
    Scratch s;
    ASSERT_TRUE(s.Run(std::string(R"sh(
mkdir t
printf x >t/file
chmod 640 t/file
setfattr -n user.empty -v '' t/file
setfattr -n user.text -v 'a=b
c' t/file
setfattr -n user.binary -v 0x00ff0a3d00 t/file
setfattr -n trusted.t -v 1 t/file
setcap cap_net_raw+ep t/file
setfacl -m u:1234:rw,g:77:r,m::rw t/file
setfacl -d -m u:1234:rwx t
getfattr -n system.posix_acl_access --only-values t/file >access
getfattr -n system.posix_acl_default --only-values t >default
getfattr -n security.capability --only-values t/file >capability
)sh") + command));
    SeenTar seen = ExpectRoundTrip(s.Read("out.tar"));
    const SeenEntry* file = seen.Find("t/file");
    const SeenEntry* dir = seen.Find("t/");
    ASSERT_TRUE(file && dir);
    EXPECT_EQ(file->Xattr("user.empty"), "");
    EXPECT_EQ(file->Xattr("user.text"), "a=b\nc");
    EXPECT_EQ(file->Xattr("user.binary"), std::string("\0\xff\n=\0", 5));
    EXPECT_EQ(file->Xattr("trusted.t"), "1");
    EXPECT_EQ(file->Xattr("security.capability"), s.Read("capability"));
    EXPECT_EQ(dir->Xattr("system.posix_acl_default"), s.Read("default"));
    EXPECT_EQ(file->Xattr("system.posix_acl_access"), s.Read("access"));
    EXPECT_EQ(file->entry.attr.mode, S_IFREG | 0660u);  // the group's bits show the mask
    EXPECT_TRUE(std::ranges::is_sorted(file->entry.xattrs, {}, &tree::Xattr::name));
    EXPECT_EQ(file->entry.xattrs.size(), 6u);
  }
}

TEST(RealTar, CarriesTimesAndOwnersOfAnySize) {
  for (const char* command :
       {"tar -cf out.tar --format=pax t", "bsdtar -cf out.tar --format=rpax t",
        "bsdtar -cf out.tar --format=pax t", "tar -cf out.tar --format=gnu t"}) {
    SCOPED_TRACE(command);
    Scratch s;
    ASSERT_TRUE(s.Run(std::string(R"sh(
mkdir t
: >t/nano; touch -d '2001-02-03 04:05:06.123456789 UTC' t/nano
: >t/old; touch -d '1960-01-01 00:00:00.25 UTC' t/old
: >t/far; touch -d '2400-01-01 00:00:00 UTC' t/far
: >t/owner; chown 3000000000:4294967294 t/owner
)sh") + command));
    SeenTar seen = ExpectRoundTrip(s.Read("out.tar"));
    const SeenEntry *nano = seen.Find("t/nano"), *old = seen.Find("t/old"),
                    *far = seen.Find("t/far"), *owner = seen.Find("t/owner");
    ASSERT_TRUE(nano && old && far && owner);
    bool fractions = std::string_view(command).find("=pax") != std::string_view::npos;
    EXPECT_EQ(nano->entry.attr.mtime_sec, 981173106);
    EXPECT_EQ(nano->entry.attr.mtime_nsec, fractions ? 123456789u : 0u);
    EXPECT_EQ(far->entry.attr.mtime_sec, 13569465600);
    EXPECT_EQ(owner->entry.attr.uid, 3000000000u);
    EXPECT_EQ(owner->entry.attr.gid, 4294967294u);
    // bsdtar writes -315619200.25 as "-315619200.250000000", a quarter second off.
    EXPECT_LE(std::abs(old->entry.attr.mtime_sec - -315619200), 1);
  }
}

// --- layers of the image tools

// A root file system with what layers tend to have.
constexpr const char* kRootTree = R"sh(
mkdir -p root/bin root/etc root/dev
cp /bin/true root/bin/tool; ln root/bin/tool root/bin/again; ln -s tool root/bin/soft
setcap cap_net_raw+ep root/bin/tool
setfattr -n user.text -v 1 root/etc
: >root/etc/$(printf '%0150d' 0)
: >"root/etc/$(printf 'latin\374')"
truncate -s 1M root/etc/sparse; printf x >>root/etc/sparse
mkfifo root/etc/fifo; chown 3000000000:5 root/etc/fifo
mknod root/dev/null c 1 3
)sh";

// Reads and rebuilds the layers of the OCI layout in "layout"; one of them holds the tree above.
void ExpectLayersOfLayout(const Scratch& s) {
  size_t layers = 0, tools = 0;
  ASSERT_TRUE(s.Run("ls layout/blobs/sha256 >blobs"));
  std::istringstream names(s.Read("blobs"));
  for (std::string name; names >> name;) {
    std::string blob = s.Read("layout/blobs/sha256/" + name);
    if (blob.starts_with("{")) continue;
    StringSource source(blob);
    auto plain = Decompressor::Create(source);
    ASSERT_TRUE(plain);
    std::string tar;
    for (;;) {
      Result<std::string_view> part = (*plain)->Next();
      ASSERT_TRUE(part) << part.error().Message();
      if (part->empty()) break;
      tar += *part;
    }
    SeenTar seen = ExpectRoundTrip(tar);
    ++layers;
    const SeenEntry *tool = seen.Find("bin/tool"), *again = seen.Find("bin/again");
    if (!tool || !again) continue;
    ++tools;
    if (tool->entry.kind == TarEntry::Kind::kHardLink) std::swap(tool, again);
    EXPECT_EQ(again->entry.link_target, tool->entry.path);
    EXPECT_EQ(tool->Xattr("security.capability").size(), 20u);
    const SeenEntry* sparse = seen.Find("etc/sparse");
    EXPECT_TRUE(sparse && sparse->content.size() == (1 << 20) + 1);
    EXPECT_TRUE(seen.Find("etc/latin\374"));
    const SeenEntry* fifo = seen.Find("etc/fifo");
    EXPECT_TRUE(fifo && fifo->entry.attr.uid == 3000000000u);
    EXPECT_TRUE(seen.Find("dev/null"));
  }
  EXPECT_GT(layers, 0u);
  EXPECT_EQ(tools, 1u);
}

bool Have(const char* program) {
  return std::system((std::string("command -v ") + program + " >/dev/null").c_str()) == 0;
}

TEST(RealTar, LayersOfUmoci) {
  ASSERT_TRUE(Have("umoci")) << "scripts/setup --test installs it";
  Scratch s;
  ASSERT_TRUE(s.Run(std::string(kRootTree) + R"sh(
umoci init --layout layout
umoci new --image layout:t
umoci unpack --image layout:t bundle
cp -a root/. bundle/rootfs/
umoci repack --image layout:t bundle
rm -r bundle
umoci unpack --image layout:t bundle
rm -r bundle/rootfs/etc
umoci repack --image layout:t bundle
)sh"));
  ExpectLayersOfLayout(s);
}

TEST(RealTar, LayersOfBuildah) {
  ASSERT_TRUE(Have("buildah")) << "scripts/setup --test installs it";
  Scratch s;
  ASSERT_TRUE(s.Run(std::string(kRootTree) + R"sh(
buildah() { command buildah --root "$PWD/storage" --runroot "$PWD/run" --storage-driver vfs "$@"; }
c=$(buildah from scratch)
m=$(buildah mount "$c")
cp -a root/. "$m"
buildah umount "$c"
buildah commit -q --format docker "$c" t
buildah push -q t oci:$PWD/layout:t
)sh"));
  ExpectLayersOfLayout(s);
}

TEST(RealTar, ReadsAnEmptyArchive) {
  Scratch s;
  ASSERT_TRUE(s.Run("tar -cf gnu.tar -T /dev/null; bsdtar -cf bsd.tar -T /dev/null"));
  EXPECT_TRUE(ExpectRoundTrip(s.Read("gnu.tar")).entries.empty());
  EXPECT_TRUE(ExpectRoundTrip(s.Read("bsd.tar")).entries.empty());
  EXPECT_TRUE(ExpectRoundTrip("").entries.empty());
}

}  // namespace
}  // namespace veneer::test
