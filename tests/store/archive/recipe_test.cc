#include "store/archive/recipe.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <map>

#include "store/archive/compression.h"
#include "store/archive/recipe_format.h"
#include "store/base/beneath.h"
#include "store/base/bytes.h"
#include "store/base/crc32c.h"
#include "tests/store/archive/tar_test_util.h"

namespace veneer::test {
namespace {

const std::string kContent = "0123456789abcdefghij";

ObjectId IdOf(std::string_view content) { return ObjectId(Digest::Of(content)); }

std::string FileText(int fd) {
  std::string text(static_cast<size_t>(lseek(fd, 0, SEEK_END)), '\0');
  EXPECT_TRUE(PreadUpTo(fd, text.data(), text.size(), 0));
  return text;
}

// "<head>" + digits 0-4 + "<hole>" + "abc" and "hij" + the whole content + "<tail>".
UniqueFd SmallRecipe() {
  UniqueFd fd = MemFile("");
  auto writer = RecipeWriter::Create(fd.get(), AT_FDCWD);
  EXPECT_TRUE(writer);
  EXPECT_TRUE((*writer)->Literal("<he"));
  EXPECT_TRUE((*writer)->Literal("ad>"));
  EXPECT_TRUE((*writer)->Payload(IdOf(kContent), kContent.size(), {{0, 5}}));
  EXPECT_TRUE((*writer)->Literal("<hole>"));
  EXPECT_TRUE((*writer)->Payload(IdOf(kContent), kContent.size(), {{10, 3}, {15, 0}, {17, 3}}));
  EXPECT_TRUE((*writer)->Payload(IdOf("x"), 1, {{0, 1}}));
  EXPECT_TRUE((*writer)->Payload(IdOf(""), 0, {}));
  EXPECT_TRUE((*writer)->Literal("<tail>"));
  EXPECT_TRUE((*writer)->Finish());
  return fd;
}
constexpr std::string_view kSmallTar = "<head>01234<hole>abchijx<tail>";

Result<std::string> Rebuild(int fd, const std::map<ObjectId, std::string>& objects = {
                                        {IdOf(kContent), kContent}, {IdOf("x"), "x"}}) {
  TRY_ASSIGN(auto reader, RecipeReader::Open(fd));
  StringSink out;
  TRY(reader->Rebuild(
      [&](const ObjectId& id) -> Result<UniqueFd> {
        auto it = objects.find(id);
        if (it == objects.end()) return Fail(ENOENT, "object");
        return MemFile(it->second);
      },
      out));
  return std::move(out.text);
}

Result<std::vector<ObjectRef>> Objects(int fd) {
  TRY_ASSIGN(auto reader, RecipeReader::Open(fd));
  std::vector<ObjectRef> refs;
  TRY(reader->ForEachObject([&](const ObjectRef& ref) -> Result<> {
    refs.push_back(ref);
    return {};
  }));
  return refs;
}

TEST(Recipe, RebuildsLiteralsAndExtentsInOrder) {
  UniqueFd fd = SmallRecipe();
  Result<std::string> tar = Rebuild(fd.get());
  ASSERT_TRUE(tar) << tar.error().Message();
  EXPECT_EQ(*tar, kSmallTar);
  EXPECT_EQ((*RecipeReader::Open(fd.get()))->tar_size(), kSmallTar.size());
}

TEST(Recipe, ListsObjectsInTarOrderWithRepetitions) {
  UniqueFd fd = SmallRecipe();
  Result<std::vector<ObjectRef>> refs = Objects(fd.get());
  ASSERT_TRUE(refs);
  ASSERT_EQ(refs->size(), 3u);
  EXPECT_EQ((*refs)[0].id, IdOf(kContent));
  EXPECT_EQ((*refs)[0].size, kContent.size());
  EXPECT_EQ((*refs)[1].id, IdOf(kContent));
  EXPECT_EQ((*refs)[2].id, IdOf("x"));
}

TEST(Recipe, AnEmptyRecipeIsAnEmptyTar) {
  UniqueFd fd = MemFile("");
  ASSERT_TRUE((*RecipeWriter::Create(fd.get(), AT_FDCWD))->Finish());
  Result<std::string> tar = Rebuild(fd.get());
  ASSERT_TRUE(tar) << tar.error().Message();
  EXPECT_EQ(*tar, "");
}

// Large enough for every buffer to be filled several times.
TEST(Recipe, HoldsLargeLiteralsObjectsAndManyReferences) {
  UniqueFd fd = MemFile("");
  auto writer = RecipeWriter::Create(fd.get(), AT_FDCWD);
  ASSERT_TRUE(writer);
  std::string literal(3'000'000, 'l'), object, want;
  for (size_t i = 0; i < 5'000'000; ++i) object += static_cast<char>(i * i >> 7);
  ASSERT_TRUE((*writer)->Literal(literal));
  ASSERT_TRUE((*writer)->Payload(IdOf(object), object.size(), {{1, object.size() - 1}}));
  want = literal + object.substr(1);
  for (int i = 0; i < 10'000; ++i) {
    ASSERT_TRUE((*writer)->Literal("h"));
    ASSERT_TRUE((*writer)->Payload(IdOf("x"), 1, {{0, 1}}));
    want += "hx";
  }
  ASSERT_TRUE((*writer)->Finish());
  Result<std::string> tar = Rebuild(fd.get(), {{IdOf(object), object}, {IdOf("x"), "x"}});
  ASSERT_TRUE(tar) << tar.error().Message();
  EXPECT_TRUE(*tar == want);
  EXPECT_EQ(Objects(fd.get())->size(), 10'001u);
}

TEST(Recipe, RefusesExtentsOutsideOfTheirObject) {
  UniqueFd fd = MemFile("");
  auto writer = RecipeWriter::Create(fd.get(), AT_FDCWD);
  ASSERT_TRUE(writer);
  for (const std::vector<PayloadExtent>& extents : std::vector<std::vector<PayloadExtent>>{
           {{0, 11}}, {{11, 1}}, {{5, 1}, {0, 1}}, {{0, 5}, {4, 1}}, {{1, UINT64_MAX}}}) {
    Result<> r = (*writer)->Payload(IdOf("0123456789"), 10, extents);
    ASSERT_FALSE(r);
    EXPECT_EQ(r.error().code(), EINVAL);
  }
}

TEST(Recipe, AShortObjectIsDamage) {
  UniqueFd fd = SmallRecipe();
  Result<std::string> tar = Rebuild(fd.get(), {{IdOf(kContent), "0123"}, {IdOf("x"), "x"}});
  ASSERT_FALSE(tar);
  EXPECT_EQ(tar.error().code(), EBADMSG);
  tar = Rebuild(fd.get(), {{IdOf(kContent), kContent}});
  ASSERT_FALSE(tar);
  EXPECT_EQ(tar.error().code(), ENOENT);  // as open_object gave it
}

TEST(Recipe, IsNoRecipeBeforeItIsFinished) {
  UniqueFd fd = MemFile("");
  {
    auto writer = RecipeWriter::Create(fd.get(), AT_FDCWD);
    ASSERT_TRUE(writer);
    ASSERT_TRUE((*writer)->Literal(std::string(1 << 20, 'x')));
  }
  auto reader = RecipeReader::Open(fd.get());
  ASSERT_FALSE(reader);
  EXPECT_EQ(reader.error().code(), EBADMSG);
}

TEST(Recipe, DamageAnywhereIsNoticed) {
  std::string good = FileText(SmallRecipe().get());
  for (size_t i = 0; i < good.size(); ++i) {
    for (int bit : {0, 7}) {
      std::string bad = good;
      bad[i] = static_cast<char>(bad[i] ^ (1 << bit));
      Result<std::string> tar = Rebuild(MemFile(bad).get());
      ASSERT_FALSE(tar) << "byte " << i;
      // A reference may be damaged into one that the store does not have.
      EXPECT_TRUE(tar.error().code() == EBADMSG || tar.error().code() == ENOENT);
      bool in_references = i >= good.size() - 3 * recipe_format::kReferenceSize;
      bool in_operations = !in_references && i >= recipe_format::kHeaderSize;
      Result<std::vector<ObjectRef>> refs = Objects(MemFile(bad).get());
      EXPECT_EQ(refs.has_value(), in_operations) << "byte " << i;
      EXPECT_TRUE(refs || refs.error().code() == EBADMSG);
    }
  }
  for (size_t kept = 0; kept < good.size(); ++kept) {
    Result<std::string> tar = Rebuild(MemFile(good.substr(0, kept)).get());
    ASSERT_FALSE(tar);
    EXPECT_EQ(tar.error().code(), EBADMSG);
  }
  EXPECT_FALSE(Rebuild(MemFile(good + "x").get()));
}

// Recipes whose checksums are right and whose contents are not.
std::string Forge(std::string_view operations, uint64_t tar_size, size_t references = 1) {
  StringSink packed;
  auto packer = Compressor::Create(Compression::kZstd, 0, packed);
  EXPECT_TRUE((*packer)->Write(operations));
  EXPECT_TRUE((*packer)->Finish());
  std::string refs;
  for (size_t i = 0; i < references; ++i) {
    refs += IdOf(kContent).digest.view();
    AppendLE(refs, uint64_t{kContent.size()});
  }
  std::string file(recipe_format::kMagic);
  AppendLE(file, recipe_format::kVersion);
  AppendLE(file, uint32_t{0});
  AppendLE(file, tar_size);
  AppendLE(file, uint64_t{recipe_format::kHeaderSize});
  AppendLE(file, uint64_t{packed.text.size()});
  AppendLE(file, uint64_t{recipe_format::kHeaderSize + packed.text.size()});
  AppendLE(file, uint64_t{references});
  AppendLE(file, Crc32c(packed.text));
  AppendLE(file, Crc32c(refs));
  file.append(recipe_format::kReservedSize, '\0');
  AppendLE(file, Crc32c(file));
  return file + packed.text + refs;
}

TEST(Recipe, ForgedOperationsAreRefused) {
  using namespace std::string_literals;
  auto code = [](const std::string& file) {
    Result<std::string> tar = Rebuild(MemFile(file).get());
    return tar ? 0 : tar.error().code();
  };
  EXPECT_EQ(code(Forge("\x08"
                       "abcd\x03\x00\x02"s,
                       6)),
            0);  // as it should be
  EXPECT_EQ(code(Forge("\x08"
                       "abcd\x03\x00\x02"s,
                       7)),
            EBADMSG);  // another size
  EXPECT_EQ(code(Forge("\x08"
                       "abcd\x03\x00\x02"s,
                       5)),
            EBADMSG);
  EXPECT_EQ(code(Forge("\x08"
                       "abcd\x03\x00\x02"s,
                       6, 2)),
            EBADMSG);  // a reference left over
  EXPECT_EQ(code(Forge("\x08"
                       "abcd\x03\x00\x02"s,
                       6, 0)),
            EBADMSG);  // one too few
  EXPECT_EQ(code(Forge("\x08"
                       "abc"s,
                       4, 0)),
            EBADMSG);                                   // ends in a literal
  EXPECT_EQ(code(Forge("\x03\x00"s, 2)), EBADMSG);      // ends in an extent
  EXPECT_EQ(code(Forge("\x00"s, 0, 0)), EBADMSG);       // an empty literal
  EXPECT_EQ(code(Forge("\x01"s, 0, 0)), EBADMSG);       // an empty payload
  EXPECT_EQ(code(Forge("\x03\x00\x00"s, 0)), EBADMSG);  // an empty extent
  EXPECT_EQ(code(Forge("\x03\x13\x02"s, 2)), EBADMSG);  // behind the object's end
  EXPECT_EQ(code(Forge("\x03\x15\x01"s, 1)), EBADMSG);
  EXPECT_EQ(code(Forge("\x05\x00\x02\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x01"s, 3)), EBADMSG);
  EXPECT_EQ(code(Forge("\x03\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02\x01"s, 3)), EBADMSG);
  EXPECT_EQ(code(Forge("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"s, 3)), EBADMSG);
  EXPECT_EQ(code(Forge("\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01"s, UINT64_MAX, 0)), EBADMSG);
}

}  // namespace
}  // namespace veneer::test
