// Damaged files: the same answers as before or EBADMSG, and never a crash.
#include <fcntl.h>
#include <gmock/gmock.h>

#include <random>

#include "store/base/crc32c.h"
#include "store/tree/dump.h"
#include "store/tree/format.h"
#include "tests/store/tree/tree_test_util.h"

namespace veneer::tree {
namespace {

class Damage : public TreeTest {
 protected:
  static void Fill(LayerTreeBuilder& b) {
    AddDir(b, "d", 0700);
    AddFile(b, "d/a");
    Must(b.AddHardLink("b", "d/a"));
    Must(b.AddHardLink("e", "elsewhere"));
    AddSymlink(b, "s", "d/a");
    Must(b.AddWhiteout("w"));
    Must(b.Add("x", File(), {}, "", {{"user.x", "value"}}));
  }

  // The dump of a layer's file, or nullopt for EBADMSG. Anything else fails the test.
  std::optional<std::string> TryDump(std::string_view bytes) {
    UniqueFd fd = Must(OpenAt(dir_.fd(), ".", O_TMPFILE | O_RDWR, 0600));
    Must(PwriteAll(fd.get(), bytes, 0));
    return TryDump(fd.get());
  }
  std::optional<std::string> TryDump(int fd) {
    auto tree = LayerTree::Open(fd);
    if (!tree) return Bad(tree.error());
    std::string text;
    auto dumped = Dump(**tree, [&](std::string_view line) { (text += line) += '\n'; });
    // Whatever the dump met, every call must come back, with an answer or with EBADMSG and the
    // like.
    int failed = 0;
    for (Ino ino = 1; ino <= (*tree)->inode_count(); ++ino) {
      failed += !(*tree)->Names(ino);
      failed += !(*tree)->Xattrs(ino);
      failed += !(*tree)->LinkTarget(ino);
      failed += !(*tree)->Lookup(ino, "a");
    }
    EXPECT_GE(failed, 0);
    if (!dumped) return Bad(dumped.error());
    return text;
  }
  static std::optional<std::string> Bad(const Error& error) {
    EXPECT_EQ(error.code(), EBADMSG) << error.Message();
    return std::nullopt;
  }

  // Makes the checksums fit the bytes again, as one who crafts a file would.
  static void Reseal(std::string& bytes) {
    TreeHeader header = TreeHeader::Decode(bytes.data());
    uint64_t end = header.checksums.offset;
    for (uint64_t at = 0, block = 0; at < end; at += kBlockSize, ++block) {
      uint64_t from = std::max<uint64_t>(at, kHeaderSize);
      uint64_t to = std::min<uint64_t>(at + kBlockSize, end);
      StoreLE(bytes.data() + end + block * 4,
              Crc32c(std::string_view(bytes).substr(from, to - from)));
    }
    uint32_t crc = Crc32c(std::string_view(bytes).substr(0, kHeaderCrcOffset));
    StoreLE(bytes.data() + kHeaderCrcOffset, Crc32c(std::string_view(bytes).substr(end), crc));
  }
};

TEST_F(Damage, EveryFlippedByteIsFound) {
  std::string bytes = LayerBytes(Fill);
  ASSERT_TRUE(TryDump(bytes));
  for (size_t i = 0; i < bytes.size(); ++i) {
    std::string bad = bytes;
    bad[i] = static_cast<char>(bad[i] ^ (1 << i % 8));
    EXPECT_EQ(TryDump(bad), std::nullopt) << "byte " << i;
  }
}

TEST_F(Damage, EveryTruncationIsFound) {
  std::string bytes = LayerBytes(Fill);
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_EQ(TryDump(std::string_view(bytes).substr(0, size)), std::nullopt) << size;
  }
  EXPECT_EQ(TryDump(bytes + '\0'), std::nullopt);
}

TEST_F(Damage, CraftedFilesWithGoodChecksumsDoNoHarm) {
  std::string bytes = LayerBytes(Fill);
  uint64_t end = TreeHeader::Decode(bytes.data()).checksums.offset;
  std::mt19937 random(1);
  int readable = 0;
  for (int round = 0; round < 30000; ++round) {
    std::string bad = bytes;
    for (unsigned n = 1 + random() % 3; n > 0; --n) {
      // Whole little-endian fields as well as bytes; the header's sections too, but not where the
      // table is.
      size_t at = 80 + random() % (end - 80);
      if (at > 176 && at < 208) continue;
      if (random() % 2) {
        bad[at] = static_cast<char>(random());
      } else if (at / 8 * 8 + 8 <= end && (at < 176 || at >= 208)) {
        uint64_t values[] = {0,           1, 2, 255, 256, UINT32_MAX, UINT64_MAX, UINT64_MAX - 7,
                             bytes.size()};
        StoreLE(bad.data() + at / 8 * 8, values[random() % std::size(values)]);
      }
    }
    if (TreeHeader::Decode(bad.data()).checksums.offset != end) continue;
    Reseal(bad);
    readable += TryDump(bad).has_value();
  }
  EXPECT_GT(readable, 0);
}

TEST_F(Damage, OnlyTheCallsThatNeedABadBlockFail) {
  std::string bytes = LayerBytes([](auto& b) {
    for (int i = 0; i < 5000; ++i) AddFile(b, "f" + std::to_string(10000 + i));
  });
  TreeHeader header = TreeHeader::Decode(bytes.data());
  bytes[header.inodes.offset + 2500 * kInodeSize] ^= 1;
  auto tree = OpenLayer(bytes);
  EXPECT_TRUE(tree->Get(1));
  EXPECT_EQ(tree->Get(2501).error().code(), EBADMSG);
  EXPECT_TRUE(Must(tree->Lookup(kRootIno, "f10000")));
  auto verified = tree->VerifyAll();
  ASSERT_FALSE(verified);
  EXPECT_EQ(verified.error().code(), EBADMSG);
  EXPECT_THAT(verified.error().Message(), testing::HasSubstr("block at byte"));
}

TEST_F(Damage, FileCutShortWhileOpenIsAnErrorOnFirstTouch) {
  std::string bytes = LayerBytes([](auto& b) {
    for (int i = 0; i < 2000; ++i) AddFile(b, "f" + std::to_string(i));
  });
  UniqueFd fd = Must(OpenAt(dir_.fd(), ".", O_TMPFILE | O_RDWR, 0600));
  Must(PwriteAll(fd.get(), bytes, 0));
  auto tree = Must(LayerTree::Open(fd.get()));
  ASSERT_TRUE(tree->Get(1));
  ASSERT_EQ(::ftruncate(fd.get(), 64 << 10), 0);
  EXPECT_EQ(tree->Get((128 << 10) / kInodeSize).error().code(), EBADMSG);
  EXPECT_EQ(tree->Lookup(kRootIno, "f1").error().code(), EBADMSG);
}

TEST_F(Damage, OtherVersionsAndOtherFilesAreRefused) {
  std::string bytes = LayerBytes(Fill);
  StoreLE(bytes.data() + kHeaderVersionOffset, kTreeVersion + 1);
  UniqueFd fd = Must(OpenAt(dir_.fd(), "t", O_CREAT | O_RDWR, 0600));
  Must(PwriteAll(fd.get(), bytes, 0));
  auto tree = LayerTree::Open(fd.get());
  ASSERT_FALSE(tree);
  EXPECT_EQ(tree.error().code(), EBADMSG);
  EXPECT_THAT(tree.error().Message(), testing::HasSubstr("version 2"));
  EXPECT_EQ(TryDump(std::string(4096, 'x')), std::nullopt);
  EXPECT_EQ(LayerTree::Open(dir_.fd()).error().code(), EBADMSG);
}

TEST_F(Damage, DamagedDeltaAndBaseAreFoundByWhoeverNeedsThem) {
  Layers layers;
  layers.push_back(Layer([](auto& b) {
    for (int i = 0; i < 400; ++i) AddFile(b, "f" + std::to_string(i));
  }));
  layers.push_back(Layer([](auto& b) { AddFile(b, "new"); }));
  std::string good = DumpText(*Next(*Next(*MergedTree::Empty(), layers, 1), layers, 2));
  for (int file : {1, 2}) {
    std::string name = Chain(file).Hex();
    std::string bytes = Must(ReadFileAt(dir_.fd(), name, 1 << 20));
    for (size_t at = 0; at < bytes.size(); at += 97) {
      std::string bad = bytes;
      bad[at] = static_cast<char>(bad[at] ^ 0x10);
      UniqueFd fd = Must(OpenAt(dir_.fd(), name, O_RDWR));
      Must(PwriteAll(fd.get(), bad, 0));
      std::string text;
      auto dumped = DumpFile(dir_.path() + "/" + Chain(2).Hex(),
                             [&](std::string_view line) { (text += line) += '\n'; });
      if (dumped) {
        EXPECT_EQ(text, good);
      } else {
        EXPECT_EQ(dumped.error().code(), EBADMSG) << dumped.error().Message();
      }
      Must(PwriteAll(fd.get(), bytes, 0));
    }
  }
}

}  // namespace
}  // namespace veneer::tree
