// Data: nameless files, holes, preallocation, copying, and what the lower's become by a change.
#include <fcntl.h>
#include <unistd.h>

#include "tests/conformance/conformance.h"

namespace veneer::fs::conformance {
namespace {

using testing::OpenFile;
using testing::WriteFile;

constexpr uint64_t kFar = 1 << 20;

class Data : public Conformance {
 protected:
  void Populate(const std::string& dir) override {
    WriteFile(dir + "/f", "lower");
    WriteFile(dir + "/g", "other");
    WriteFile(dir + "/empty", "");
    WriteFile(dir + "/blocks", Blocks("abcd"));
    UniqueFd sparse = OpenFile(dir + "/sparse", O_RDWR | O_CREAT);
    ASSERT_EQ(pwrite(sparse.get(), "x", 1, kFar), 1);
  }
  // One block of each letter.
  static std::string Blocks(const std::string& letters) {
    std::string all;
    for (char letter : letters) all += std::string(4096, letter == '0' ? '\0' : letter);
    return all;
  }
};

TEST_P(Data, UnlinkedFileIsStillUsable) {
  FilePtr reader = Open("f", O_RDONLY);
  FilePtr writer = Open("g", O_RDWR);
  ASSERT_EQ(Code(fs().Unlink("f")), 0);
  ASSERT_EQ(Code(fs().Unlink("g")), 0);
  EXPECT_EQ(Read(*reader), "lower");
  ASSERT_TRUE(writer->Write("OTH", 0));
  EXPECT_EQ(Read(*writer), "OTHer");
  EXPECT_EQ(reader->Stat()->st_nlink, 0u);
  EXPECT_EQ(writer->Stat()->st_nlink, 0u);
  ASSERT_EQ(Code(reader->Chmod(0400)), 0);
  ASSERT_EQ(Code(writer->Truncate(2)), 0);
  EXPECT_EQ(reader->Stat()->st_mode & 07777, 0400u);
  EXPECT_EQ(Read(*reader), "lower");
  ASSERT_EQ(Code(writer->Sync(false)), 0);
  Write("f", "another");
  EXPECT_EQ(Read(*reader), "lower");
}

TEST_P(Data, TemporaryFilesGetNames) {
  auto file = fs().TmpFile("");
  ASSERT_TRUE(file);
  ASSERT_TRUE((*file)->Write("tmp", 0));
  EXPECT_EQ((*file)->Stat()->st_nlink, 0u);
  EXPECT_EQ((*file)->Stat()->st_mode, S_IFREG | 0600u);
  EXPECT_EQ(List("").size(), 5u);
  ASSERT_EQ(Code(fs().Unlink("f")), 0);
  ASSERT_EQ(Code((*file)->Link("f")), 0);
  EXPECT_EQ(Read("f"), "tmp");
  ASSERT_TRUE((*file)->Write("T", 0));
  EXPECT_EQ(Read("f"), "Tmp");
  EXPECT_EQ(Stat("f").st_nlink, 1u);
  EXPECT_EQ(Stat("f").st_ino, (*file)->Stat()->st_ino);
  file->reset();
  Remount();
  EXPECT_EQ(Read("f"), "Tmp");
}

TEST_P(Data, TemporaryFilesWithoutANameLeaveNothing) {
  for (int i = 0; i < 10; ++i) {
    auto file = fs().TmpFile("");
    ASSERT_TRUE(file);
    ASSERT_TRUE((*file)->Write("tmp", 0));
  }
  Remount();
  EXPECT_EQ(List("").size(), 5u);
}

TEST_P(Data, HolesStayHoles) {
  FilePtr file = Open("sparse", O_RDWR);
  EXPECT_EQ(file->Seek(0, SEEK_DATA).value_or(0), kFar);
  EXPECT_EQ(Code(file->Seek(kFar + 1, SEEK_DATA)), ENXIO);
  ASSERT_TRUE(file->Write("y", 0));
  EXPECT_EQ(file->Seek(0, SEEK_HOLE).value_or(0), 4096u);
  EXPECT_EQ(file->Seek(4096, SEEK_DATA).value_or(0), kFar);
  EXPECT_LT(file->Stat()->st_blocks, 100);
  EXPECT_EQ(Read(*file).substr(kFar), "x");
  file.reset();
  Remount();
  EXPECT_LT(Stat("sparse").st_blocks, 100);
}

TEST_P(Data, SeekingInALowerFile) {
  FilePtr file = Open("blocks", O_RDONLY);
  EXPECT_EQ(file->Seek(0, SEEK_DATA).value_or(99), 0u);
  EXPECT_EQ(file->Seek(0, SEEK_HOLE).value_or(99), 16384u);
  EXPECT_EQ(Code(file->Seek(16384, SEEK_DATA)), ENXIO);
  EXPECT_EQ(Code(file->Seek(16384, SEEK_HOLE)), ENXIO);
}

TEST_P(Data, FallocateReservesPunchesAndZeroes) {
  FilePtr file = Open("blocks", O_RDWR);
  ASSERT_EQ(Code(file->Allocate(0, 0, 20000)), 0);
  EXPECT_EQ(file->Stat()->st_size, 20000);
  ASSERT_EQ(Code(file->Allocate(FALLOC_FL_KEEP_SIZE, 0, 100000)), 0);
  EXPECT_EQ(file->Stat()->st_size, 20000);
  EXPECT_GE(file->Stat()->st_blocks, 100000 / 512);
  ASSERT_EQ(Code(file->Allocate(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096, 4096)), 0);
  ASSERT_EQ(Code(file->Allocate(FALLOC_FL_ZERO_RANGE, 8192, 4096)), 0);
  EXPECT_EQ(Read(*file), Blocks("a00d") + std::string(20000 - 16384, '\0'));
  EXPECT_EQ(file->Seek(0, SEEK_HOLE).value_or(0), 4096u);
  EXPECT_EQ(Code(file->Allocate(FALLOC_FL_PUNCH_HOLE, 0, 4096)), EOPNOTSUPP);
  EXPECT_EQ(Code(file->Allocate(0, 0, 0)), EINVAL);
  file.reset();
  Remount();
  EXPECT_EQ(Read("blocks"), Blocks("a00d") + std::string(20000 - 16384, '\0'));
}

TEST_P(Data, FallocateShiftsRanges) {
  FilePtr file = Open("blocks", O_RDWR);
  auto collapsed = file->Allocate(FALLOC_FL_COLLAPSE_RANGE, 4096, 4096);
  if (Differs(Difference::kNoRangeShifting)) {
    EXPECT_EQ(Code(collapsed), EOPNOTSUPP);
    EXPECT_EQ(Read(*file), Blocks("abcd"));
    return;
  }
  ASSERT_EQ(Code(collapsed), 0);
  EXPECT_EQ(Read(*file), Blocks("acd"));
  ASSERT_EQ(Code(file->Allocate(FALLOC_FL_INSERT_RANGE, 0, 4096)), 0);
  EXPECT_EQ(Read(*file), Blocks("0acd"));
}

TEST_P(Data, FallocateNeedsAFileOpenForWriting) {
  FilePtr file = Open("f", O_RDONLY);
  EXPECT_EQ(Code(file->Allocate(0, 0, 10)), EBADF);
  EXPECT_EQ(Code(file->Write("x", 0)), EBADF);
  EXPECT_EQ(Code(file->Truncate(0)), EINVAL);
  EXPECT_EQ(Read(*file), "lower");
}

TEST_P(Data, CopyFileRangeFromLowerToLower) {
  FilePtr from = Open("blocks", O_RDONLY);
  FilePtr to = Open("f", O_RDWR);
  EXPECT_EQ(from->CopyTo(*to, 4096, 2, 8192).value_or(0), 8192u);
  EXPECT_EQ(Read(*to), "lo" + Blocks("bc"));
  EXPECT_EQ(from->CopyTo(*to, 16380, 0, 100).value_or(0), 4u) << "up to the end";
  EXPECT_EQ(from->CopyTo(*to, 20000, 0, 100).value_or(1), 0u) << "nothing beyond it";
  EXPECT_EQ(Code(to->CopyTo(*from, 0, 0, 10)), EBADF);
  from.reset();
  to.reset();
  Remount();
  EXPECT_EQ(Read("f"), ("dddd" + ("lo" + Blocks("bc")).substr(4)));
  EXPECT_EQ(Read("blocks"), Blocks("abcd"));
}

TEST_P(Data, CopyFileRangeWithinAFile) {
  FilePtr file = Open("blocks", O_RDWR);
  EXPECT_EQ(file->CopyTo(*file, 0, 8192, 4096).value_or(0), 4096u);
  EXPECT_EQ(Read(*file), Blocks("abad"));
  EXPECT_EQ(Code(file->CopyTo(*file, 0, 100, 4096)), EINVAL) << "they overlap";
}

TEST_P(Data, TruncatedTailIsZeroWhenTheFileGrowsAgain) {
  ASSERT_EQ(Code(fs().Truncate("blocks", 100)), 0);
  ASSERT_EQ(Code(fs().Truncate("blocks", 8192)), 0);
  EXPECT_EQ(Read("blocks"), std::string(100, 'a') + std::string(8092, '\0'));
  Remount();
  EXPECT_EQ(Read("blocks"), std::string(100, 'a') + std::string(8092, '\0'));
  EXPECT_EQ(Code(fs().Truncate("missing", 0)), ENOENT);
}

TEST_P(Data, WritingFarBeyondTheEnd) {
  FilePtr file = Open("f", O_RDWR);
  constexpr uint64_t kTera = uint64_t{1} << 40;
  ASSERT_TRUE(file->Write("end", kTera));
  EXPECT_EQ(file->Stat()->st_size, static_cast<off_t>(kTera + 3));
  EXPECT_EQ(file->Read(10, kTera).value_or(""), "end");
  EXPECT_EQ(file->Read(5, 0).value_or(""), "lower");
  EXPECT_EQ(file->Read(2, 5).value_or(""), std::string(2, '\0'));
  EXPECT_LT(file->Stat()->st_blocks, 100);
}

TEST_P(Data, AppendersDoNotOverwriteEachOther) {
  FilePtr one = Open("f", O_WRONLY | O_APPEND);
  FilePtr two = Open("f", O_WRONLY | O_APPEND);
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(one->Write("1", 0));
    ASSERT_TRUE(two->Write("2", 0));
  }
  EXPECT_EQ(Read("f"), "lower121212");
}

TEST_P(Data, LargeFileIsCopiedWholeByItsFirstWrite) {
  std::string content;
  for (int i = 0; content.size() < 3 << 20; ++i) content += std::to_string(i);
  Write("new", content);
  EXPECT_EQ(Read("new"), content);
  FilePtr file = Open("blocks", O_RDWR);
  ASSERT_TRUE(file->Write("!", 10000));
  std::string expected = Blocks("abcd");
  expected[10000] = '!';
  EXPECT_EQ(Read(*file), expected);
  ASSERT_EQ(Code(file->Sync(true)), 0);
  ASSERT_EQ(Code(file->Sync(false)), 0);
  file.reset();
  Remount();
  EXPECT_EQ(Read("blocks"), expected);
  EXPECT_EQ(Read("new"), content);
}

TEST_P(Data, EmptyLowerFileGetsContent) {
  ASSERT_EQ(Code(fs().Chmod("empty", 0600)), 0);
  EXPECT_EQ(Read("empty"), "");
  Append("empty", "more");
  Remount();
  EXPECT_EQ(Read("empty"), "more");
}

TEST_P(Data, TruncatingThroughADescriptorNeedsNoPermission) {
  FilePtr file = Open("f", O_RDWR);
  ASSERT_EQ(Code(file->Chmod(0)), 0);
  ASSERT_EQ(Code(file->Truncate(3)), 0);
  EXPECT_EQ(Read(*file), "low");
}

TEST_P(Data, OpeningHasTheErrorsOfPosix) {
  EXPECT_EQ(Code(fs().Open("missing", O_RDONLY)), ENOENT);
  EXPECT_EQ(Code(fs().Open("f", O_CREAT | O_EXCL | O_WRONLY)), EEXIST);
  EXPECT_EQ(Code(fs().Open("f/x", O_RDONLY)), ENOTDIR);
  EXPECT_EQ(Code(fs().Open("f/x", O_CREAT | O_WRONLY)), ENOTDIR);
  EXPECT_EQ(Code(fs().Open("missing/x", O_CREAT | O_WRONLY)), ENOENT);
  ASSERT_EQ(Code(fs().MakeDir("d")), 0);
  EXPECT_EQ(Code(fs().Open("d", O_WRONLY)), EISDIR);
  EXPECT_EQ(Code(fs().Truncate("d", 0)), EISDIR);
  EXPECT_EQ(Code(fs().OpenDir("f")), ENOTDIR);
}

TEST_P(Data, StatFsKnowsTheHostsSpace) {
  auto st = fs().StatFs();
  ASSERT_TRUE(st);
  EXPECT_GT(st->f_blocks, 0u);
  EXPECT_GT(st->f_files, 0u);
  EXPECT_EQ(st->f_namemax, 255u);
}

VENEER_CONFORMANCE_IN_EVERY_MODE(Data);

class MetadataOnly : public Data {};

TEST_P(MetadataOnly, ChangesOfAStoresFileCopyNoData) {
  if (GetParam().kind != testing::Kind::kChain)
    return;  // directory stacks copy: docs/conformance.md
  ASSERT_EQ(Code(fs().Chmod("blocks", 0600)), 0);
  ASSERT_EQ(Code(fs().Chown("sparse", 5, 6)), 0);
  ASSERT_EQ(Code(fs().SetTimes("f", {1, 2}, {3, 4})), 0);
  ASSERT_EQ(Code(fs().SetXattr("g", "user.x", "y")), 0);
  control::Stats stats = Statistics();
  EXPECT_EQ(stats.bytes_copied, 0u);
  EXPECT_EQ(stats.stubs, 4u);
  Remount();
  EXPECT_EQ(Read("blocks"), Blocks("abcd"));
  EXPECT_EQ(Read("g"), "other");
  EXPECT_EQ(Stat("sparse").st_size, static_cast<off_t>(kFar + 1));
  Append("blocks", "+");
  EXPECT_GT(Statistics().bytes_copied, 0u);
  Remount();
  EXPECT_EQ(Read("blocks"), Blocks("abcd") + "+");
  EXPECT_EQ(Mode("blocks"), 0600u);
}

VENEER_CONFORMANCE_IN_EVERY_MODE(MetadataOnly);

}  // namespace
}  // namespace veneer::fs::conformance
