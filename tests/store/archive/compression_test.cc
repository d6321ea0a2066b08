#include "store/archive/compression.h"

#include <gtest/gtest.h>

#include "tests/store/archive/tar_test_util.h"

namespace veneer::test {
namespace {

using enum Compression;

struct Unpacked {
  Compression compression = kNone;
  std::string text;
};

Result<Unpacked> Unpack(std::string_view data, size_t piece = 4096) {
  StringSource source(data, piece);
  TRY_ASSIGN(auto plain, Decompressor::Create(source));
  Unpacked out{.compression = plain->compression(), .text = {}};
  for (;;) {
    TRY_ASSIGN(std::string_view part, plain->Next());
    if (part.empty()) break;
    out.text += part;
  }
  TRY_ASSIGN(std::string_view after, plain->Next());
  EXPECT_TRUE(after.empty());
  TRY_ASSIGN(std::string_view rest, source.Next());
  EXPECT_TRUE(rest.empty()) << "input is left over";
  return out;
}

Result<std::string> Pack(Compression how, std::string_view text, int level = 0) {
  StringSink out;
  TRY_ASSIGN(auto packer, Compressor::Create(how, level, out));
  while (!text.empty()) {
    TRY(packer->Write(text.substr(0, 10'000)));
    text.remove_prefix(std::min<size_t>(10'000, text.size()));
  }
  TRY(packer->Finish());
  return std::move(out.text);
}

std::string SomeText(size_t size) {
  std::string s;
  uint32_t x = 1;
  while (s.size() < size) {
    x = x * 1664525 + 1013904223;
    s += std::to_string(x >> 20) + (x & 1 ? "\n" : " some words ");
  }
  s.resize(size);
  return s;
}

class EveryCompression : public testing::TestWithParam<Compression> {};
INSTANTIATE_TEST_SUITE_P(All, EveryCompression, testing::Values(kNone, kGzip, kZstd, kXz, kBzip2),
                         [](const auto& test) { return std::string(CompressionName(test.param)); });

TEST_P(EveryCompression, ComesBackTheSame) {
  for (size_t size : {size_t{0}, size_t{1}, size_t{7}, size_t{100'000}, size_t{3'000'000}}) {
    std::string text = SomeText(size);
    Result<std::string> packed = Pack(GetParam(), text);
    ASSERT_TRUE(packed) << packed.error().Message();
    for (size_t piece : {size_t{1} << 20, size_t{3}}) {
      if (piece == 3 && size > 1'000'000) continue;
      Result<Unpacked> back = Unpack(*packed, piece);
      ASSERT_TRUE(back) << back.error().Message();
      EXPECT_TRUE(back->text == text);
      EXPECT_EQ(back->compression, GetParam());
    }
  }
}

TEST_P(EveryCompression, IsDeterministic) {
  std::string text = SomeText(200'000);
  Result<std::string> one = Pack(GetParam(), text, 3), two = Pack(GetParam(), text, 3);
  ASSERT_TRUE(one && two);
  EXPECT_TRUE(*one == *two);
  if (GetParam() == kGzip) {
    EXPECT_EQ(one->substr(4, 4), std::string(4, '\0'));  // the time
  }
}

TEST_P(EveryCompression, TakesSeveralMembersAsOneStream) {
  std::string a = SomeText(70'000), b = SomeText(100);
  Result<std::string> first = Pack(GetParam(), a), second = Pack(GetParam(), b),
                      empty = Pack(GetParam(), "");
  ASSERT_TRUE(first && second && empty);
  std::string joined = *first + *second + *empty + *second, want = a + b + b;
  for (size_t piece : {size_t{1} << 20, size_t{1000}, size_t{1}}) {
    Result<Unpacked> back = Unpack(joined, piece);
    ASSERT_TRUE(back) << back.error().Message();
    EXPECT_TRUE(back->text == want);
  }
}

TEST_P(EveryCompression, RefusesATruncatedStream) {
  if (GetParam() == kNone) return;
  std::string text = SomeText(20'000);
  Result<std::string> packed = Pack(GetParam(), text), tail = Pack(GetParam(), "tail");
  ASSERT_TRUE(packed && tail);
  for (size_t kept = 8; kept < packed->size(); kept += 1 + packed->size() / 200) {
    Result<Unpacked> back = Unpack(packed->substr(0, kept));
    ASSERT_FALSE(back) << "at " << kept << " of " << packed->size();
    EXPECT_EQ(back.error().code(), EBADMSG);
  }
  // In the second member as well.
  for (size_t kept = 1; kept < tail->size(); ++kept) {
    Result<Unpacked> back = Unpack(*packed + tail->substr(0, kept));
    ASSERT_FALSE(back) << "at " << kept << " of " << tail->size();
    EXPECT_EQ(back.error().code(), EBADMSG);
  }
}

TEST_P(EveryCompression, RefusesGarbageAfterTheEnd) {
  if (GetParam() == kNone) return;
  Result<std::string> packed = Pack(GetParam(), SomeText(20'000));
  ASSERT_TRUE(packed);
  for (const std::string& garbage :
       {std::string("x"), std::string("garbage, and more of it"), std::string(600, '\0') + "x",
        std::string("\x1f\x8b\x08\x08 a name that does not end"), std::string("BZh9garbage")}) {
    for (size_t piece : {size_t{1} << 20, size_t{1}}) {
      Result<Unpacked> back = Unpack(*packed + garbage, piece);
      ASSERT_FALSE(back) << garbage;
      EXPECT_EQ(back.error().code(), EBADMSG);
    }
  }
}

TEST_P(EveryCompression, DamageIsAnErrorOrHarmless) {
  if (GetParam() == kNone) return;
  std::string text = SomeText(3'000);
  Result<std::string> packed = Pack(GetParam(), text);
  ASSERT_TRUE(packed);
  if (GetParam() == kZstd) {
    Scratch s;  // libarchive writes zstd without checksums
    s.Write("text", text);
    ASSERT_TRUE(s.Run("zstd -q --check -c text >packed"));
    packed = s.Read("packed");
  }
  size_t unnoticed = 0;
  for (size_t i = 0; i < packed->size(); ++i) {
    std::string damaged = *packed;
    damaged[i] = static_cast<char>(damaged[i] ^ 0x10);
    Result<Unpacked> back = Unpack(damaged);
    if (!back) {
      EXPECT_EQ(back.error().code(), EBADMSG) << back.error().Message();
    } else if (back->compression == GetParam() && back->text != text) {
      ++unnoticed;
    }
  }
  EXPECT_EQ(unnoticed, 0u);
}

// The end of each member is checked, wherever it falls in the pieces.
TEST(Compression, GzipMembersAreEachCheckedAgainstTheirTrailers) {
  std::string texts, packed;
  std::vector<size_t> ends;
  for (size_t size : {5, 0, 70'000, 1, 200'000, 0, 0, 65'536, 3}) {
    std::string text = SomeText(size);
    texts += text;
    Result<std::string> member = Pack(kGzip, text);
    ASSERT_TRUE(member);
    packed += *member;
    if (size > 0) ends.push_back(packed.size());  // an empty member's trailer guards nothing
  }
  // Stored bytes that look like the border of two members are none.
  std::string lookalike(60'000, '\0');
  for (size_t i = 0; i + 4 < lookalike.size(); i += 12) lookalike.replace(i, 4, "\x1f\x8b\x08\x01");
  Scratch s;
  s.Write("text", lookalike);
  ASSERT_TRUE(
      s.Run("python3 -c 'import gzip; open(\"gz\", \"wb\").write(gzip.compress(open(\"text\", "
            "\"rb\").read(), 0))'"));
  packed += s.Read("gz");
  texts += lookalike;
  for (size_t piece : {1, 7, 1000, 1 << 20}) {
    Result<Unpacked> back = Unpack(packed, static_cast<size_t>(piece));
    ASSERT_TRUE(back) << back.error().Message();
    EXPECT_TRUE(back->text == texts);
    for (size_t end : ends) {
      for (size_t byte = 1; byte <= 8; byte += 3) {
        std::string damaged = packed;
        damaged[end - byte] = static_cast<char>(damaged[end - byte] ^ 1);
        back = Unpack(damaged, static_cast<size_t>(piece));
        ASSERT_FALSE(back) << "member ending at " << end;
        EXPECT_EQ(back.error().code(), EBADMSG);
      }
    }
  }
}

TEST(Compression, GzipMayBePaddedWithZeros) {
  Result<std::string> packed = Pack(kGzip, "text");
  ASSERT_TRUE(packed);
  for (size_t zeros : {1, 5, 511, 100'000}) {
    for (size_t piece : {size_t{1} << 20, size_t{1}}) {
      Result<Unpacked> back = Unpack(*packed + std::string(zeros, '\0'), piece);
      ASSERT_TRUE(back) << back.error().Message();
      EXPECT_EQ(back->text, "text");
    }
  }
}

TEST(Compression, UnpacksOneLayerOnly) {
  Result<std::string> inner = Pack(kGzip, "text");
  ASSERT_TRUE(inner);
  for (Compression outer : {kGzip, kZstd, kXz, kBzip2}) {
    Result<std::string> packed = Pack(outer, *inner);
    ASSERT_TRUE(packed);
    Result<Unpacked> back = Unpack(*packed);
    ASSERT_TRUE(back);
    EXPECT_TRUE(back->text == *inner);
  }
}

TEST(Compression, AnEmptyInputIsNotCompressed) {
  Result<Unpacked> back = Unpack("");
  ASSERT_TRUE(back);
  EXPECT_EQ(back->compression, kNone);
  EXPECT_EQ(back->text, "");
}

TEST(Compression, IsToldByContent) {
  EXPECT_EQ(DetectCompression(""), kNone);
  EXPECT_EQ(DetectCompression("B"), kNone);
  EXPECT_EQ(DetectCompression("BZh9 is the name of a file in a tar"), kNone);
  EXPECT_EQ(DetectCompression("BZh91AY&SY"), kBzip2);
  EXPECT_EQ(DetectCompression("\x52\x2a\x4d\x18 skippable"), kZstd);
}

TEST(Compression, ReadsWhatTheRealProgramsWrite) {
  Scratch s;
  std::string text = SomeText(2'000'000);
  s.Write("text", text);
  ASSERT_TRUE(s.Run(R"sh(
split -n 3 text part.
cat part.aa | gzip -n >gz; gzip -c part.ab part.ac >>gz
zstd -q -c part.aa >zst; zstd -q --no-check -c part.ab >>zst; printf '\122\052\115\030\003\000\000\000abc' >>zst; zstd -q -c -T2 part.ac >>zst
xz -c part.aa >xz; xz -c -T2 --block-size=100000 part.ab part.ac >>xz
bzip2 -c part.aa >bz2; bzip2 -c part.ab part.ac >>bz2
)sh"));
  for (const char* name : {"gz", "zst", "xz", "bz2"}) {
    Result<Unpacked> back = Unpack(s.Read(name), 64 << 10);
    ASSERT_TRUE(back) << back.error().Message();
    EXPECT_TRUE(back->text == text) << name;
  }
}

TEST(Compression, IsReadByTheRealPrograms) {
  Scratch s;
  std::string text = SomeText(300'000);
  s.Write("text", text);
  for (Compression how : {kGzip, kZstd, kXz, kBzip2}) {
    Result<std::string> packed = Pack(how, text, 1);
    ASSERT_TRUE(packed);
    s.Write(std::string("packed.") + std::string(CompressionName(how)), *packed);
  }
  EXPECT_TRUE(s.Run("for p in gzip zstd xz bzip2; do $p -dc <packed.$p | cmp - text; done"));
}

// An error of the sink comes out as it is; an unfinished stream is not made to look whole.
TEST(Compression, FailsAsItsSinkDoes) {
  class Full : public ByteSink {
   public:
    Result<> Write(std::string_view) override { return Fail(ENOSPC, "disk"); }
  };
  for (Compression how : {kNone, kGzip, kZstd, kXz, kBzip2}) {
    Full full;
    auto packer = Compressor::Create(how, 0, full);
    Result<> r;
    if (packer) {
      r = (*packer)->Write(SomeText(5'000'000));
      if (r) r = (*packer)->Finish();
    } else {
      r = std::unexpected(packer.error());
    }
    ASSERT_FALSE(r);
    EXPECT_EQ(r.error().code(), ENOSPC);

    StringSink out;
    {
      auto dropped = Compressor::Create(how, 0, out);
      ASSERT_TRUE(dropped);
      ASSERT_TRUE((*dropped)->Write("text"));
    }
    if (how == kNone) continue;
    Result<Unpacked> back = Unpack(out.text);
    EXPECT_TRUE(!back || back->text.empty());
  }
}

TEST(Compression, FailsAsItsSourceDoes) {
  class Broken : public ByteSource {
   public:
    explicit Broken(std::string_view data) : data_(data) {}
    Result<std::string_view> Next() override {
      if (data_.empty()) return Fail(ECONNRESET, "read");
      return std::exchange(data_, {});
    }

   private:
    std::string_view data_;
  };
  for (Compression how : {kNone, kGzip, kZstd, kXz, kBzip2}) {
    Result<std::string> packed = Pack(how, SomeText(100'000));
    ASSERT_TRUE(packed);
    Broken source(std::string_view(*packed).substr(0, packed->size() / 2));
    auto plain = Decompressor::Create(source);
    ASSERT_TRUE(plain);
    Result<std::string_view> part;
    do {
      part = (*plain)->Next();
    } while (part && !part->empty());
    ASSERT_FALSE(part) << CompressionName(how);
    EXPECT_EQ(part.error().code(), ECONNRESET);
  }
}

}  // namespace
}  // namespace veneer::test
