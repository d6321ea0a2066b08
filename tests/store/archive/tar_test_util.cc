#include "tests/store/archive/tar_test_util.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "store/base/beneath.h"

namespace veneer::test {

Result<std::string_view> StringSource::Next() {
  std::string_view next = rest_.substr(0, piece_);
  rest_.remove_prefix(next.size());
  return next;
}

UniqueFd MemFile(std::string_view content) {
  UniqueFd fd(memfd_create("test", MFD_CLOEXEC));
  EXPECT_TRUE(PwriteAll(fd.get(), content, 0));
  return fd;
}

std::string SeenEntry::Xattr(const std::string& name) const {
  for (const tree::Xattr& x : entry.xattrs) {
    if (x.name == name) return x.value;
  }
  return "<none>";
}

const SeenEntry* SeenTar::Find(std::string_view path) const {
  for (size_t i = entries.size(); i-- > 0;) {
    if (entries[i].entry.path == path) return &entries[i];
  }
  return nullptr;
}

Result<std::string> SeenTar::Rebuild() const {
  TRY_ASSIGN(auto reader, RecipeReader::Open(recipe.get()));
  StringSink out;
  TRY(reader->Rebuild(
      [this](const ObjectId& id) -> Result<UniqueFd> {
        auto it = objects.find(id);
        if (it == objects.end()) return Fail(ENOENT, "object");
        return MemFile(it->second);
      },
      out));
  EXPECT_EQ(out.text.size(), reader->tar_size());
  return std::move(out.text);
}

namespace {

class Recorder : public LayerTarVisitor {
 public:
  explicit Recorder(RecipeWriter& recipe) : recipe_(recipe) {}

  Result<> OnEntry(const TarEntry& entry) override {
    EXPECT_FALSE(in_entry_);
    in_entry_ = true;
    seen.entries.push_back({.entry = entry, .content = {}, .extents = {}});
    return {};
  }
  Result<> OnContent(uint64_t offset, std::string_view data) override {
    EXPECT_TRUE(in_entry_);
    SeenEntry& e = seen.entries.back();
    EXPECT_GE(offset, e.content.size());
    EXPECT_LE(offset + data.size(), e.entry.attr.size);
    e.content.resize(offset);
    e.content += data;
    if (!e.extents.empty() && e.extents.back().offset + e.extents.back().length == offset) {
      e.extents.back().length += data.size();
    } else {
      e.extents.push_back({.offset = offset, .length = data.size()});
    }
    return {};
  }
  Result<> OnEntryEnd() override {
    EXPECT_TRUE(in_entry_);
    in_entry_ = false;
    SeenEntry& e = seen.entries.back();
    // Handmade sparse files may claim any size; what is beyond this is zeros anyway.
    if (S_ISREG(e.entry.attr.mode) && e.entry.attr.size < (64 << 20)) {
      e.content.resize(e.entry.attr.size);
    }
    payload_due_ = !e.extents.empty();
    return {};
  }
  Result<> OnLiteral(std::string_view data) override {
    EXPECT_FALSE(data.empty());
    seen.literal_bytes += data.size();
    return recipe_.Literal(data);
  }
  Result<> OnPayload(const std::vector<PayloadExtent>& extents) override {
    EXPECT_FALSE(in_entry_);
    EXPECT_TRUE(payload_due_);
    payload_due_ = false;
    const SeenEntry& e = seen.entries.back();
    EXPECT_EQ(extents.size(), e.extents.size());
    for (const PayloadExtent& extent : extents) seen.payload_bytes += extent.length;
    ObjectId id(Digest::Of(e.content));
    seen.objects[id] = e.content;
    return recipe_.Payload(id, e.content.size(), extents);
  }

  SeenTar seen;

 private:
  RecipeWriter& recipe_;
  bool in_entry_ = false;
  bool payload_due_ = false;
};

}  // namespace

Result<SeenTar> ReadTar(std::string_view tar, size_t piece) {
  UniqueFd file = MemFile("");
  TRY_ASSIGN(auto recipe, RecipeWriter::Create(file.get(), AT_FDCWD));
  Recorder recorder(*recipe);
  StringSource source(tar, piece);
  TRY(ReadLayerTar(source, recorder));
  TRY(recipe->Finish());
  recorder.seen.recipe = std::move(file);
  EXPECT_EQ(recorder.seen.literal_bytes + recorder.seen.payload_bytes, tar.size());
  return std::move(recorder.seen);
}

SeenTar ExpectRoundTrip(std::string_view tar) {
  SeenTar last;
  size_t entries = 0;
  for (size_t piece : {size_t{1} << 30, size_t{10'000}, size_t{513}}) {
    if (piece < 1000 && tar.size() > (4 << 20)) break;
    Result<SeenTar> seen = ReadTar(tar, piece);
    if (!seen) {
      ADD_FAILURE() << seen.error().Message() << " (pieces of " << piece << ")";
      return last;
    }
    Result<std::string> rebuilt = seen->Rebuild();
    if (!rebuilt) {
      ADD_FAILURE() << rebuilt.error().Message();
      return last;
    }
    EXPECT_EQ(rebuilt->size(), tar.size());
    EXPECT_TRUE(*rebuilt == tar) << "rebuilt differently (pieces of " << piece << ")";
    if (piece != size_t{1} << 30) {
      EXPECT_EQ(seen->entries.size(), entries);
    }
    entries = seen->entries.size();
    last = std::move(*seen);
  }
  return last;
}

void ExpectRefused(std::string_view tar, std::string_view why) {
  for (size_t piece : {size_t{1} << 20, size_t{777}}) {
    Result<SeenTar> seen = ReadTar(tar, piece);
    if (seen) {
      ADD_FAILURE() << "not refused; expected: " << why;
      return;
    }
    EXPECT_EQ(seen.error().code(), EBADMSG) << seen.error().Message();
    EXPECT_NE(seen.error().Message().find(why), std::string::npos)
        << seen.error().Message() << "\nexpected: " << why;
  }
}

Scratch::Scratch() {
  char name[] = "/tmp/archive_test.XXXXXX";
  path_ = mkdtemp(name);
}
Scratch::~Scratch() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

bool Scratch::Run(const std::string& script) const {
  Write("script", script);
  std::string command = "cd " + path_ + " && umask 022 && LC_ALL=C.UTF-8 sh -e ./script >log 2>&1";
  int status = std::system(command.c_str());
  if (status != 0) ADD_FAILURE() << script << "\nfailed: " << Read("log");
  return status == 0;
}

std::string Scratch::Read(const std::string& name) const {
  Result<std::string> text = ReadFileAt(AT_FDCWD, path_ + "/" + name, size_t{1} << 30);
  if (text) return std::move(*text);
  ADD_FAILURE() << text.error().Message();
  return "";
}

void Scratch::Write(const std::string& name, std::string_view content) const {
  Result<UniqueFd> fd = OpenAt(AT_FDCWD, path_ + "/" + name, O_WRONLY | O_CREAT | O_TRUNC, 0644);
  ASSERT_TRUE(fd);
  ASSERT_TRUE(WriteAll(fd->get(), content));
}

namespace {

void Put(std::string& block, size_t at, std::string_view text) {
  block.replace(at, text.size(), text);
}

std::string Octal(uint64_t v, size_t digits) {
  std::string s;
  for (size_t i = 0; i < digits; ++i, v /= 8) s.insert(s.begin(), static_cast<char>('0' + v % 8));
  return s;
}

}  // namespace

std::string WithChecksum(std::string block) {
  Put(block, 148, "        ");
  uint64_t sum = 0;
  for (char c : block) sum += static_cast<unsigned char>(c);
  Put(block, 148, Octal(sum, 6) + std::string("\0 ", 2));
  return block;
}

std::string Header(const HeaderFields& f) {
  std::string block(512, '\0');
  Put(block, 0, std::string_view(f.name).substr(0, 100));
  Put(block, 100, Octal(f.mode, 7));
  Put(block, 108, Octal(0, 7));
  Put(block, 116, Octal(0, 7));
  Put(block, 124, f.raw_size.empty() ? Octal(f.size, 11) : f.raw_size);
  Put(block, 136, Octal(1'600'000'000, 11));
  block[156] = f.type;
  Put(block, 157, std::string_view(f.link).substr(0, 100));
  Put(block, 257, f.magic);
  Put(block, 345, std::string_view(f.prefix).substr(0, 155));
  return WithChecksum(block);
}

std::string Padded(std::string_view body) {
  std::string out(body);
  out.append(-body.size() % 512, '\0');
  return out;
}

std::string PaxRecord(std::string_view key, std::string_view value) {
  std::string rest = " " + std::string(key) + "=" + std::string(value) + "\n";
  size_t length = rest.size() + 1;
  while (std::to_string(length).size() + rest.size() != length) {
    length = std::to_string(length).size() + rest.size();
  }
  return std::to_string(length) + rest;
}

std::string PaxHeader(std::string_view records, char type) {
  return Header({.name = "PaxHeader", .type = type, .size = records.size()}) + Padded(records);
}

std::string LongName(std::string_view name, char type) {
  std::string body = std::string(name) + '\0';
  return Header({.name = "././@LongLink", .type = type, .size = body.size(), .magic = GnuMagic()}) +
         Padded(body);
}

std::string EndMarker() { return std::string(1024, '\0'); }

}  // namespace veneer::test
